import type { MCPClient } from '@ai-sdk/mcp';
import type { AgentTool, ParametersSchema } from './tool.ts';

/** An MCP server: a program that is started, or an address. */
export type McpServer = (
  | { command: string; args?: string[]; env?: Record<string, string>; cwd?: string }
  | { url: string; type?: 'http' | 'sse'; headers?: Record<string, string> }
) & {
  /**
   * Which calls a person is asked about: `writes` (default) = those whose tool does not say that it only reads, `always`,
   * or `never`.
   */
  approval?: 'writes' | 'always' | 'never';
};

/** What could be had of the configured servers. */
export interface McpToolset {
  tools: AgentTool[];
  /** A sentence for each server that could not be reached. */
  problems: string[];
}

const connectTimeoutMs = 15_000;

/**
 * The tools of configured MCP servers. Connects at the first use, keeps the connections, and tries a lost server again at
 * the next use. A tool that says `readOnlyHint` is `safe`: a configured server is believed.
 */
export class McpTools {
  #servers: [string, McpServer][];
  #clients = new Map<string, Promise<MCPClient>>();

  constructor(servers: Record<string, McpServer> = {}) {
    this.#servers = Object.entries(servers);
  }

  /** The tools as they are now. Never rejects: a server that is away is a problem in words. */
  async load(): Promise<McpToolset> {
    const problems: string[] = [];
    const lists = this.#servers.map(async ([name, server]) => {
      try {
        return await this.#tools(name, server);
      } catch (error) {
        await this.#forget(name);
        problems.push(`The MCP server ${name} is not available, so its tools are missing: ${messageOf(error, server)}`);
        return [];
      }
    });
    return { tools: (await Promise.all(lists)).flat(), problems };
  }

  /** Ends all connections and the programs behind them. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients.keys()].map((name) => this.#forget(name)));
  }

  async #tools(name: string, server: McpServer): Promise<AgentTool[]> {
    const client = await this.#client(name, server);
    const tools: AgentTool[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.listTools(cursor === undefined ? {} : { params: { cursor } });
      for (const { name: toolName, title, description, inputSchema, annotations } of page.tools) {
        const isReading = annotations?.readOnlyHint === true;
        tools.push({
          name: `${name}_${toolName}`.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64),
          title: `${name}: ${title ?? annotations?.title ?? toolName}`,
          description: description ?? toolName,
          parameters: inputSchema as ParametersSchema,
          safe: isReading,
          needsApproval: server.approval === 'always' || (server.approval !== 'never' && !isReading),
          execute: (args, { signal }) => this.#call(name, server, client, toolName, args, signal),
        });
      }
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return tools;
  }

  async #call(
    name: string,
    server: McpServer,
    client: MCPClient,
    tool: string,
    args: unknown,
    signal: AbortSignal,
  ): Promise<unknown> {
    let answer: Awaited<ReturnType<MCPClient['callTool']>>;
    try {
      answer = await client.callTool({
        name: tool,
        arguments: (args ?? {}) as Record<string, unknown>,
        options: { signal },
      });
    } catch (error) {
      // Which errors mean a lost connection is not told apart: a new one is cheap, a dead one would fail forever.
      if (!signal.aborted) await this.#forget(name);
      throw new Error(messageOf(error, server), { cause: error });
    }
    const result = readResult(answer);
    if (answer.isError) throw new Error(typeof result === 'string' ? result : JSON.stringify(result));
    return result;
  }

  #client(name: string, server: McpServer): Promise<MCPClient> {
    const known = this.#clients.get(name);
    if (known) return known;
    const client = open(server);
    this.#clients.set(name, client);
    return client;
  }

  async #forget(name: string): Promise<void> {
    const client = this.#clients.get(name);
    this.#clients.delete(name);
    await client?.then(({ close }) => close()).catch(() => undefined);
  }
}

/** Loaded only when a server is configured. */
async function open(server: McpServer): Promise<MCPClient> {
  const { experimental_createMCPClient: createClient } = await import('@ai-sdk/mcp');
  const options = { signal: AbortSignal.timeout(connectTimeoutMs), timeout: connectTimeoutMs };
  const common = { initializationOptions: options, onUncaughtError: () => undefined };
  if ('url' in server) {
    const { url, type = 'http', headers } = server;
    return createClient({ ...common, transport: { type, url, ...(headers ? { headers } : {}) } });
  }
  const { StdioMCPTransport } = await import('@ai-sdk/mcp/mcp-stdio');
  const { command, args, env, cwd } = server;
  const transport = new StdioMCPTransport({
    command,
    // What it prints, its environment perhaps, must not become part of the gateway's log; a pipe that nobody reads would stop it.
    stderr: 'ignore',
    ...(args ? { args } : {}),
    ...(env ? { env } : {}),
    ...(cwd ? { cwd } : {}),
  });
  return createClient({ ...common, transport });
}

/** Text where the answer is text, else what the server gave as data, else its blocks. */
function readResult(answer: Awaited<ReturnType<MCPClient['callTool']>>): unknown {
  const { content, structuredContent, toolResult } = answer as {
    content?: unknown;
    structuredContent?: unknown;
    toolResult?: unknown;
  };
  if (!Array.isArray(content)) return structuredContent ?? toolResult ?? answer;
  const texts = content.map((block: { type?: string; text?: string }) =>
    block.type === 'text' ? block.text : undefined,
  );
  if (texts.length > 0 && texts.every((text) => text !== undefined)) return texts.join('\n');
  return structuredContent ?? content;
}

/** The words of an error, without what the server was given in confidence: some repeat what they refuse. */
function messageOf(error: unknown, server: McpServer): string {
  const given = 'url' in server ? server.headers : server.env;
  // `Bearer abc` hides `abc`, too. What is short is no secret, and hiding it would spoil every sentence.
  const secrets = [...Object.values(given ?? {}), ...('url' in server ? [] : (server.args ?? []))]
    .flatMap((value) => [value, value.slice(value.indexOf(' ') + 1)])
    .filter((value) => value.length >= 8);
  const words = error instanceof Error ? error.message : String(error);
  return secrets.reduce((text, secret) => text.replaceAll(secret, '[secret]'), words);
}
