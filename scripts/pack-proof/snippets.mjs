import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { nodeBinary, root, run } from '../toolchain.mjs';
import { forOldNode, oldNode, plainEnvironment, typeCheck } from './consumer.mjs';

const token = 'pack-proof-token';

/**
 * Every `ts` snippet of the READMEs compiles against the packed packages and runs to its end against the packed gateway. A
 * snippet whose fence says `ts check` (it serves for ever, or needs what only its reader has) is compiled only.
 */
export async function proveSnippets(folder, packs, proof) {
  const snippets = [root, ...packs.map((pack) => pack.folder)].flatMap((place) =>
    snippetsOf(join(place, 'README.md'), basename(place)),
  );
  for (const { file, source } of snippets) writeFileSync(join(folder, file), source);
  await proof.check(`${snippets.length} README snippets compile`, () =>
    typeCheck(
      folder,
      snippets.map(({ file }) => file),
      'nodenext',
      { emit: true },
    ),
  );

  const gateway = await startGateway(folder, proof);
  if (!gateway) return;
  try {
    for (const { file, source, isRun, where } of snippets) {
      if (!isRun) continue;
      const script = file.replace(/\.ts$/, '.js');
      const code = readFileSync(join(folder, script), 'utf8');
      writeFileSync(join(folder, script), code.replaceAll('ws://127.0.0.1:18789', gateway.url.replace('http', 'ws')));
      const isForOld = importsOf(source).every((name) => forOldNode.includes(name));
      for (const node of [nodeBinary(), ...(oldNode && isForOld ? [oldNode] : [])]) {
        await proof.check(`${where} runs${node === oldNode ? ' on Node 20' : ''}`, () =>
          run('timeout', ['60', node, script], {
            cwd: folder,
            env: plainEnvironment({ OPENCLAW_GATEWAY_TOKEN: token }),
          }),
        );
      }
    }
  } finally {
    await gateway.stop();
  }
}

/** The packages that a snippet imports, without their entries. */
function importsOf(source) {
  return [...source.matchAll(/from '(@?[^'./][^']*)'/g)].map(([, name]) =>
    name
      .split('/')
      .slice(0, name.startsWith('@') ? 2 : 1)
      .join('/'),
  );
}

function snippetsOf(path, place) {
  if (!existsSync(path)) return [];
  const snippets = [];
  let open;
  for (const [index, line] of readFileSync(path, 'utf8').split('\n').entries()) {
    const fence = /^```(\w*) ?(.*)$/.exec(line);
    if (open && line === '```') {
      // A snippet without an import is no module of its own otherwise, and its `await` would be none at the top.
      snippets.push({ ...open, source: `${open.lines.join('\n')}\nexport {};\n` });
      open = undefined;
    } else if (open) open.lines.push(line);
    else if (fence?.[1] === 'ts') {
      open = {
        file: `snippet-${place}-${index + 1}.ts`,
        where: `${place}/README.md:${index + 1}`,
        isRun: fence[2] !== 'check',
        lines: [],
      };
    }
  }
  return snippets;
}

/** Runs the packed program by its bin, as a user would. */
async function startGateway(folder, proof) {
  const program = join(folder, 'node_modules', '.bin', 'openclaw-ws-gateway');
  const child = spawn(nodeBinary(), [program, '--port', '0', '--state-dir', join(folder, 'state'), '--token', token], {
    cwd: folder,
    env: plainEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const url = await new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
        const match = /at (http:\/\/\S+),/.exec(output);
        if (match) resolve(match[1]);
      });
    }
    child.on('error', (error) => {
      output += error.message;
    });
    child.on('close', () => resolve(undefined));
  });
  await proof.holds('the packed program starts by its bin', url ? [] : [output]);
  if (!url) return undefined;
  const page = await (await fetch(url)).text();
  await proof.holds('it has its page in it', page.includes('<html') ? [] : [page.slice(0, 200)]);
  return {
    url,
    stop: () =>
      new Promise((resolve) => {
        child.on('close', resolve);
        child.kill('SIGTERM');
      }),
  };
}
