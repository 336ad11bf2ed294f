import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { connect, type Gateway, GatewayError } from '@openclaw/client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Workshop } from './gateway-process.ts';

let workshop: Workshop;
let gateways: Gateway[];

beforeEach(() => {
  workshop = new Workshop();
  gateways = [];
});
afterEach(async () => {
  for (const gateway of gateways) gateway.close();
  await workshop.dispose();
});

const client = (url: string, options: Parameters<typeof connect>[0] = { token: workshop.token }) => {
  const gateway = connect({ url: url.replace('http', 'ws'), ...options });
  gateways.push(gateway);
  return gateway;
};

const textOf = (message: { content: unknown }): string =>
  typeof message.content === 'string'
    ? message.content
    : (message.content as { type: string; text?: string }[]).map(({ text = '' }) => text).join('');

const countTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1).join(' ');

async function occupied(server: Server, args: (port: number) => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await args((server.address() as AddressInfo).port);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

describe('a running gateway', () => {
  test('answers with the demo agent, out of the box', async () => {
    const url = await workshop.start().url();
    const run = client(url).session('main').send('count to 5');
    const kinds = new Set<string>();
    for await (const part of run) kinds.add(part.type);
    expect(textOf(await run.final)).toBe(countTo(5));
    expect([...kinds]).toEqual(expect.arrayContaining(['thinking', 'tool', 'text']));
  });

  test.each([
    ['twins of the flags name', 'OPENCLAW_AGENT_URL', 'OPENCLAW_AGENT_MODEL', 'OPENCLAW_AGENT_KEY'],
    ['providers’ own variables name', 'OPENAI_BASE_URL', 'OPENAI_MODEL', 'OPENAI_API_KEY'],
  ])('asks the model that the %s, with its key, and keeps the key to itself', async (_, url, name, key) => {
    const asked: { authorization: string | undefined; model: unknown }[] = [];
    const model = createHttpServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        asked.push({ authorization: request.headers.authorization, model: JSON.parse(body).model });
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        for (const word of ['It ', 'is ', 'Tuesday.']) {
          const choices = [{ index: 0, delta: { role: 'assistant', content: word }, finish_reason: null }];
          response.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices })}\n\n`);
        }
        const choices = [{ index: 0, delta: {}, finish_reason: 'stop' }];
        response.end(
          `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices })}\n\ndata: [DONE]\n\n`,
        );
      });
    });
    await occupied(model, async (port) => {
      const agentUrl = `http://127.0.0.1:${port}/v1`;
      const program = workshop.start([], { [url]: agentUrl, [name]: 'm-1', [key]: 'hush-hush' });
      const run = client(await program.url())
        .session('main')
        .send('What day is it?');
      expect(textOf(await run.final)).toBe('It is Tuesday.');
      expect(asked).toEqual([{ authorization: 'Bearer hush-hush', model: 'm-1' }]);
      expect(program.output).toContain(`m-1 at ${agentUrl}`);
      expect(program.output).not.toContain('hush-hush');
      program.kill('SIGKILL');
      await program.exited;
    });
  });

  test('goes on with the same run after kill -9 in the middle of an answer', async () => {
    const first = workshop.start();
    const url = await first.url();
    const run = client(url).session('main').send('count to 60');
    let second: ReturnType<Workshop['start']> | undefined;
    let text = '';
    for await (const part of run) {
      if (part.type !== 'text') continue;
      text = part.replace ? part.delta : text + part.delta;
      if (second || part.text.length < 20) continue;
      first.kill('SIGKILL');
      await first.exited;
      second = workshop.start(['--port', new URL(url).port]);
    }
    expect(second).toBeDefined();
    expect(text).toBe(countTo(60));
    expect(textOf(await run.final)).toBe(countTo(60));
  });

  test('lets an answer end when it is asked to stop, and ends with 0', async () => {
    const program = workshop.start();
    const run = client(await program.url())
      .session('main')
      .send('count to 40');
    for await (const part of run) if (part.type === 'text') break;
    program.kill('SIGTERM');
    expect(textOf(await run.final)).toBe(countTo(40));
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(program.output).toContain('Stopping');
  });

  test('stops at once when it is asked twice', async () => {
    const program = workshop.start();
    const run = client(await program.url())
      .session('main')
      .send('count to 10000');
    run.final.catch(() => undefined);
    for await (const part of run) if (part.type === 'text') break;
    program.kill('SIGTERM');
    await program.printed(/Stopping/);
    program.kill('SIGTERM');
    expect(await program.exited).toEqual({ code: 143, signal: null });
  });

  test('lets a page in once by the code of its link, and then by the token that it got', async () => {
    const page = join(workshop.directory, 'page');
    mkdirSync(page);
    writeFileSync(join(page, 'index.html'), '<title>hello</title>');
    const config = join(workshop.directory, 'c.json5');
    writeFileSync(config, `{ http: { page: ${JSON.stringify(page)} } }`);
    const program = workshop.start(['--config', config]);
    const url = await program.url();
    const code = (await program.printed(/Open {3}(http:\/\/[^#\s]+)\/#code=([\w-]+)/))[2] as string;
    expect(program.output).not.toContain(workshop.token);
    expect(await (await fetch(`${url}/`)).text()).toContain('hello');

    const invited = client(url, { bootstrapToken: code });
    const { deviceToken } = await new Promise<{ deviceToken: string }>((resolve) => invited.on('credentials', resolve));
    await expect(client(url, { deviceToken }).request('health')).resolves.toBeDefined();
    await expect(client(url, { bootstrapToken: code }).request('health')).rejects.toBeInstanceOf(GatewayError);
  });

  test('shows its configuration without secrets', async () => {
    const config = join(workshop.directory, 'c.json5');
    writeFileSync(config, '{ auth: { mode: "password", password: "${HUSH}" } }');
    const url = await workshop.start(['--config', config], { HUSH: 'hush-hush' }).url();
    const shown = await client(url, { password: 'hush-hush' }).request('config.get', {});
    expect(shown).toMatchObject({ path: config, exists: true, config: { auth: { mode: 'password' } } });
    expect(JSON.stringify(shown)).not.toContain('hush-hush');
  });
});

describe('a gateway that can’t start says why in one sentence, and', () => {
  const refusal = async (args: readonly string[]) => {
    const program = workshop.run(args);
    const { code } = await program.exited;
    expect(program.output.trim().split('\n')).toHaveLength(1);
    return { code, sentence: program.output.trim() };
  };
  const onPort = (port: number) => ['--state-dir', join(workshop.directory, 'other'), '--port', String(port)];

  test('names the gateway that has the port', async () => {
    const url = await workshop.start().url();
    const { code, sentence } = await refusal(onPort(Number(new URL(url).port)));
    expect(code).toBe(69);
    expect(sentence).toMatch(/taken by a gateway that is running\..*--port/);
  });

  test('tells another web server from that', () =>
    occupied(
      createHttpServer((_, response) => response.end('<html>')),
      async (port) => {
        expect(await refusal(onPort(port))).toEqual({
          code: 69,
          sentence: expect.stringContaining('taken by another web server'),
        });
      },
    ));

  test('tells a program that is no web server from that', () =>
    occupied(
      createServer((socket) => socket.destroy()),
      async (port) => {
        expect(await refusal(onPort(port))).toEqual({
          code: 69,
          sentence: expect.stringContaining('taken by another program'),
        });
      },
    ));

  test('names the gateway that uses the state directory', async () => {
    const first = workshop.start();
    await first.url();
    const { code, sentence } = await refusal(['--state-dir', workshop.stateDirectory, '--port', '0']);
    expect(code).toBe(75);
    expect(sentence).toContain(`pid ${first.pid}`);
    expect(first.hasExited).toBe(false);
  });

  test('leaves a directory of somebody else untouched', async () => {
    writeFileSync(join(workshop.directory, 'letter.txt'), 'dear');
    const { code, sentence } = await refusal(['--state-dir', workshop.directory, '--port', '0']);
    expect(code).toBe(78);
    expect(sentence).toContain(workshop.directory);
    expect(readdirSync(workshop.directory)).toEqual(['letter.txt']);
  });

  test('names the store that it can’t read', async () => {
    const program = workshop.start();
    await program.url();
    program.kill('SIGTERM');
    await program.exited;
    writeFileSync(join(workshop.stateDirectory, 'gateway.sqlite'), 'not a database at all '.repeat(1_000));
    const { code, sentence } = await refusal(['--state-dir', workshop.stateDirectory, '--port', '0']);
    expect(code).toBe(78);
    expect(sentence).toContain('gateway.sqlite');
  });

  test('points to the help for a flag that does not exist', async () => {
    expect(await refusal(['--prot', '1'])).toEqual({ code: 64, sentence: expect.stringContaining('--help') });
  });
});
