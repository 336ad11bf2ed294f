import { configSchema } from '../src/config-schema.ts';
import { type Setting, settingsOf } from '../src/setting.ts';

const opening = `# Configuration

Made from the schema in \`apps/gateway/src/config-schema.ts\`; edit the descriptions there, not this page. An example and the commands
are in the [README of the program](../../apps/gateway/README.md).

The file is JSON5: \`config.json5\` in the state directory, or what \`--config\` names. An unknown setting is refused, with the name that
was probably meant. Flags and their variables win over the file.

- \`\${NAME}\` in any text is that variable of the environment, \`\${NAME:-default}\` has a default, \`$\${\` is a plain \`\${\`.
- A **secret** may be the text itself, \`{ env: 'NAME' }\`, or \`{ file: './path' }\`: the text of a file, without the white space around it,
  relative to the configuration. Secrets are never shown; \`config.get\` has a mark in their place.
- \`*\` stands for any name.
- **at once**: an edit counts within a second, and no connection is dropped but those that may not stay. **restart**: it counts after a restart,
  and the gateway says so. A file that is not valid changes nothing: the configuration before stays in use, and the log, \`config.get\`, the
  event \`config.changed\` and the audit trail say why.
- Of the agent, another choice takes over at the first moment without a run at work.
- A certificate that is renewed in place is taken into use at once; turning TLS on or off needs a restart.
`;

/** The page `docs/gateway/configuration.md`. */
export function configurationPage(): string {
  const settings = settingsOf(configSchema);
  const sections = new Map<string, Setting[]>();
  for (const setting of settings) {
    const [head = ''] = setting.path.split('.');
    const title = settings.some(({ path, isSection }) => path === head && isSection) ? head : '';
    sections.set(title, [...(sections.get(title) ?? []), setting]);
  }
  const parts = [...sections].map(([title, rows]) => {
    const about = rows.find(({ path }) => path === title)?.about;
    const table = rows.filter(({ isSection, type }) => !isSection || type.includes("'")).map(row);
    const heading = title === '' ? '' : `\n## \`${title}\`\n\n${about}\n`;
    return `${heading}\n| Setting | | Default | Counts | |\n| --- | --- | --- | --- | --- |\n${table.join('\n')}\n`;
  });
  return `${opening}${parts.join('')}`;
}

function row({ path, type, standard, isSecret, isLive, about }: Setting): string {
  const kind = isSecret ? 'secret' : type;
  const otherwise = standard !== undefined ? code(standard) : path.endsWith('.*') ? '' : 'must be given';
  return `| \`${path}\` | ${cell(kind)} | ${cell(otherwise)} | ${isLive ? 'at once' : 'restart'} | ${cell(about)} |`;
}

/** What is a value of the file is set as one; words stay words. */
function code(words: string): string {
  return /^(\d+|true|false|\[.*\]|\{.*\}|'.*'|".*")$/.test(words) ? `\`${words}\`` : words;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
