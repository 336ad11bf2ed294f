import { byId } from './element.ts';

/** Wires the form: Enter sends, Shift-Enter begins a new line, Escape stops; the field grows with its text. */
export function wireComposer({ send, stop }: { send(text: string): void; stop(): void }): void {
  const form = byId<HTMLFormElement>('composer');
  const field = byId<HTMLTextAreaElement>('message');
  const fit = () => {
    field.rows = Math.min(10, Math.max(1, field.value.split('\n').length));
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text === '') return;
    field.value = '';
    fit();
    send(text);
    field.focus();
  });
  field.addEventListener('input', fit);
  field.addEventListener('keydown', (event) => {
    // While an input method composes a character, Enter belongs to it.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !byId('stop').hidden) stop();
  });
  byId('stop').addEventListener('click', () => {
    stop();
    field.focus();
  });
  field.focus();
}
