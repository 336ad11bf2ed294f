// Every link in every markdown file that points into this repository leads somewhere, headings included.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { root } from './toolchain.mjs';

const files = markdownFiles('.');
const anchorsByFile = new Map();
const problems = [];

for (const file of files) {
  for (const { target, line } of linksOf(readFileSync(join(root, file), 'utf8'))) {
    if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
    const problem = problemOf(file, decodeURI(target));
    if (problem) problems.push(`${file}:${line}: ${target}: ${problem}`);
  }
}

for (const problem of problems) console.error(problem);
console.log(`${files.length} files, ${problems.length} broken links`);
process.exitCode = problems.length === 0 ? 0 : 1;

/** Every markdown file below `folder`, as a path from the top of the repository. */
function markdownFiles(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return ['node_modules', 'dist', '.git', '.turbo'].includes(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** Links, images and reference definitions outside code and one-line comments. */
function linksOf(text) {
  const links = [];
  let isFenced = false;
  for (const [index, raw] of text.split('\n').entries()) {
    if (/^\s*(```|~~~)/.test(raw)) isFenced = !isFenced;
    if (isFenced) continue;
    const line = raw.replace(/`[^`]*`|<!--.*?-->/g, '');
    for (const match of line.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g))
      links.push({ target: match[1], line: index + 1 });
    const definition = /^\s*\[[^\]]+\]:\s*(\S+)/.exec(line);
    if (definition) links.push({ target: definition[1], line: index + 1 });
  }
  return links;
}

function problemOf(file, target) {
  const [path, anchor] = target.split('#', 2);
  // A leading slash means the top of the repository, as on a code host.
  const to =
    path === '' ? join(root, file) : path.startsWith('/') ? join(root, path) : resolve(root, dirname(file), path);
  if (!to.startsWith(root)) return 'leaves the repository';
  if (!existsSync(to)) return 'there is no such file';
  if (anchor === undefined || anchor === '' || statSync(to).isDirectory() || !to.endsWith('.md')) return undefined;
  return anchorsOf(to).has(anchor.toLowerCase()) ? undefined : `there is no heading #${anchor}`;
}

/** The anchors that code hosts give to headings: lower case, punctuation dropped, spaces to dashes, repeats numbered. */
function anchorsOf(file) {
  const known = anchorsByFile.get(file);
  if (known) return known;
  const anchors = new Set();
  const counts = new Map();
  let isFenced = false;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (/^\s*(```|~~~)/.test(line)) isFenced = !isFenced;
    const heading = isFenced ? undefined : /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    for (const match of line.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) anchors.add(match[1].toLowerCase());
    if (heading === undefined) continue;
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-');
    const count = counts.get(slug) ?? 0;
    counts.set(slug, count + 1);
    anchors.add(count === 0 ? slug : `${slug}-${count}`);
  }
  anchorsByFile.set(file, anchors);
  return anchors;
}
