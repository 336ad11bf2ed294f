import { gzipSync } from 'node:zlib';
import { build, minify } from 'vite';
import type { Figure } from './figure.ts';

/** What a browser loads for `import { connect }`, from the client's build. */
export async function bundleFigures(): Promise<Figure[]> {
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    root: import.meta.dirname,
    // Lib mode, so that nothing of vite's own comes along; it keeps whitespace, so minifying is a step of its own.
    build: { write: false, minify: false, target: 'es2023', lib: { entry: 'browser-entry.ts', formats: ['es'] } },
  });
  const [result] = Array.isArray(output) ? output : [output];
  if (!result || !('output' in result)) throw new Error('vite gave no output');
  const size = async (isLater: boolean) => {
    const chunks = result.output
      .filter((chunk) => chunk.type === 'chunk')
      .filter((chunk) => chunk.isDynamicEntry === isLater);
    const small = await Promise.all(chunks.map(({ code }) => minify('chunk.js', code, { module: true })));
    return gzipSync(small.map(({ code }) => code).join('\n'), { level: 9 }).length;
  };
  return [
    {
      what: 'client in a browser, `import { connect }`',
      value: kilobytes(await size(false)),
      goal: '12 / 8 kB',
      note: `minified and gzipped; ${kilobytes(await size(true))} more only on meeting a gateway without streams`,
    },
  ];
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`;
}
