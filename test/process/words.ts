/** What the demo agent says when it is asked to count. */
export function countTo(last: number): string {
  return Array.from({ length: last }, (_, index) => index + 1).join(' ');
}

/** The text of a message. */
export function textOf({ content }: { content: readonly { type: string; text?: string }[] }): string {
  return content.map(({ type, text = '' }) => (type === 'text' ? text : '')).join('');
}
