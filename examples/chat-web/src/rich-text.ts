import { element } from './element.ts';

/**
 * Shows text with the little Markdown that models write: paragraphs, headings, lists, fenced code, `code`, **bold**,
 * *italic* and links. Never makes markup out of text. Set again with more text it keeps the blocks that did not change, so that a
 * long answer can grow word by word.
 */
export class RichText {
  readonly root = element('div', 'rich');
  #blocks: string[] = [];

  set(text: string): void {
    const blocks = splitBlocks(text);
    let same = 0;
    while (same < blocks.length && blocks[same] === this.#blocks[same]) same++;
    while (this.root.childNodes.length > same) this.root.lastChild?.remove();
    for (const block of blocks.slice(same)) this.root.append(renderBlock(block));
    this.#blocks = blocks;
  }
}

/** The blocks of a text: fenced code whole, everything else by blank lines. */
export function splitBlocks(text: string): string[] {
  const blocks: string[] = [];
  let current: string[] = [];
  let isFenced = false;
  const flush = () => {
    if (current.length > 0) blocks.push(current.join('\n'));
    current = [];
  };
  for (const line of text.split('\n')) {
    const isFence = /^\s*```/.test(line);
    if (isFence && !isFenced) flush();
    if (isFenced || line.trim() !== '') current.push(line);
    else flush();
    if (isFence) {
      if (isFenced) flush();
      isFenced = !isFenced;
    }
  }
  flush();
  return blocks;
}

function renderBlock(block: string): HTMLElement {
  const lines = block.split('\n');
  const first = lines[0] ?? '';
  if (/^\s*```/.test(first)) {
    const end = lines.length > 1 && /^\s*```/.test(lines.at(-1) ?? '') ? -1 : undefined;
    const code = element('pre', '', element('code', '', lines.slice(1, end).join('\n')));
    code.tabIndex = 0;
    return code;
  }
  const heading = /^(#{1,6})\s+(.*)$/.exec(first);
  if (heading && lines.length === 1) return element('h3', '', ...inline(heading[2] ?? ''));
  const isList = (line: string) => /^\s*([-*]|\d+[.)])\s+/.test(line);
  if (lines.every((line) => isList(line) || /^\s+/.test(line)) && isList(first)) {
    const list = element(/^\s*\d/.test(first) ? 'ol' : 'ul');
    for (const line of lines) {
      if (isList(line)) list.append(element('li', '', ...inline(line.replace(/^\s*([-*]|\d+[.)])\s+/, ''))));
      else list.lastElementChild?.append(' ', ...inline(line.trim()));
    }
    return list;
  }
  const paragraph = element('p');
  lines.forEach((line, index) => {
    if (index > 0) paragraph.append(element('br'));
    paragraph.append(...inline(line));
  });
  return paragraph;
}

const marks =
  /(`+)(.+?)\1|\*\*(.+?)\*\*|(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>()`]+[^\s<>()`.,;:!?'"])/g;

function inline(text: string): (Node | string)[] {
  const nodes: (Node | string)[] = [];
  let at = 0;
  for (const match of text.matchAll(marks)) {
    const [whole, , code, bold, italic, label, target, bare] = match;
    if (match.index > at) nodes.push(text.slice(at, match.index));
    at = match.index + whole.length;
    if (code !== undefined) nodes.push(element('code', '', code));
    else if (bold !== undefined) nodes.push(element('strong', '', ...inline(bold)));
    else if (italic !== undefined) nodes.push(element('em', '', ...inline(italic)));
    else nodes.push(link(target ?? bare ?? '', label ?? bare ?? ''));
  }
  if (at < text.length) nodes.push(text.slice(at));
  return nodes;
}

function link(target: string, label: string): HTMLElement {
  const anchor = element('a', '', label);
  anchor.href = target;
  anchor.target = '_blank';
  anchor.rel = 'noreferrer noopener';
  return anchor;
}
