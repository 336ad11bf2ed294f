import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documentedFile } from './documented-file.ts';

/** The proxies whose configuration is documented. */
export type ProxyKind = 'nginx' | 'caddy';

const places = { nginx: ['/usr/sbin/nginx', '/usr/bin/nginx'], caddy: ['/usr/bin/caddy', '/usr/local/bin/caddy'] };

/** Where a program of this machine is; undefined when it has none. */
export function findProxy(kind: ProxyKind): string | undefined {
  return places[kind].find((path) => existsSync(path));
}

/** A real nginx or Caddy on loopback with the documented configuration, TLS included, and nothing of the machine's own. */
export class ReverseProxy {
  readonly kind: ProxyKind;
  readonly port: number;
  /** The certificate that it shows, PEM. */
  readonly certificate: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'gateway-proxy-'));
  readonly #configuration: string;
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(kind: ProxyKind, port: number, gatewayPort: number) {
    this.kind = kind;
    this.port = port;
    const [certificate, key] = makeCertificate(this.#directory);
    this.certificate = readFileSync(certificate, 'utf8');
    this.#configuration = join(this.#directory, kind === 'nginx' ? 'nginx.conf' : 'Caddyfile');
    const text =
      kind === 'nginx' ? this.#nginx(gatewayPort, certificate, key) : this.#caddy(gatewayPort, certificate, key);
    writeFileSync(this.#configuration, text);
  }

  static async start(kind: ProxyKind, gatewayPort: number): Promise<ReverseProxy> {
    const proxy = new ReverseProxy(kind, await freePort(), gatewayPort);
    await proxy.start();
    return proxy;
  }

  get url(): string {
    return `wss://127.0.0.1:${this.port}`;
  }

  /** Starts the program; resolves when it takes connections. */
  async start(): Promise<void> {
    const [program, args] = this.#command('run');
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: this.#environment() });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    this.#process = child;
    while (!(await accepts(this.port))) {
      if (child.exitCode !== null) throw new Error(`${this.kind} ended:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Reads the configuration again, as `systemctl reload` does. */
  reload(): void {
    const [program, args] = this.#command('reload');
    execFileSync(program, args, { stdio: 'pipe', env: this.#environment() });
  }

  /** Ends it, with every connection through it, as `systemctl stop` does. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #command(what: 'run' | 'reload'): [program: string, args: string[]] {
    const program = findProxy(this.kind);
    if (!program) throw new Error(`No ${this.kind} here (Debian: apt-get install ${this.kind}).`);
    if (this.kind === 'caddy') {
      const args = ['--config', this.#configuration, '--adapter', 'caddyfile'];
      return [
        program,
        what === 'run' ? ['run', ...args] : ['reload', ...args, '--force', '--address', this.#adminAddress],
      ];
    }
    const args = ['-p', this.#directory, '-e', 'stderr', '-c', this.#configuration];
    return [program, what === 'run' ? args : [...args, '-s', 'reload']];
  }

  /** Around the documented file: what a distribution's own nginx.conf has, in places that this process may write to. */
  #nginx(gatewayPort: number, certificate: string, key: string): string {
    const site = documentedFile('nginx.conf', {
      'listen 443 ssl;': `listen 127.0.0.1:${this.port} ssl;`,
      '/etc/ssl/gateway.example/fullchain.pem': certificate,
      '/etc/ssl/gateway.example/privkey.pem': key,
      '127.0.0.1:18789': `127.0.0.1:${gatewayPort}`,
    });
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${join(this.#directory, name)};`)
      .join('\n');
    const user = process.getuid?.() === 0 ? 'user root;\n' : '';
    return `${user}daemon off;\npid ${join(this.#directory, 'nginx.pid')};\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${paths}\n${site}}\n`;
  }

  /** The documented file with a certificate of the test, since nobody would sign one for it. */
  #caddy(gatewayPort: number, certificate: string, key: string): string {
    const site = documentedFile('Caddyfile', {
      'gateway.example {': `https://gateway.example:${this.port}, https://127.0.0.1:${this.port} {\n\tbind 127.0.0.1\n\ttls ${certificate} ${key}`,
      '127.0.0.1:18789': `127.0.0.1:${gatewayPort}`,
    });
    return `{\n\tadmin ${this.#adminAddress}\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n${site}`;
  }

  get #adminAddress(): string {
    return `unix/${join(this.#directory, 'admin.sock')}`;
  }

  /** Caddy keeps what it knows below its home. */
  #environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: this.#directory,
      XDG_DATA_HOME: this.#directory,
      XDG_CONFIG_HOME: this.#directory,
    };
  }
}

/** A certificate for the documented name and 127.0.0.1, good for a day, and its key. */
function makeCertificate(directory: string): [certificate: string, key: string] {
  const [certificate, key] = [join(directory, 'certificate.pem'), join(directory, 'key.pem')];
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
      ...['-subj', '/CN=gateway.example', '-addext', 'subjectAltName=DNS:gateway.example,IP:127.0.0.1'],
      ...['-keyout', key, '-out', certificate],
    ],
    { stdio: 'pipe' },
  );
  return [certificate, key];
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
