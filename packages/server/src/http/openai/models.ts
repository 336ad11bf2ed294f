import type { Agents } from '../../runs/agents.ts';
import { badRequest, notFound } from './problem.ts';

/** A model as the list shows it: an agent under the name that asks for it. */
export interface Model {
  id: string;
  object: 'model';
  created: number;
  owned_by: 'openclaw';
}

/** The names that requests may have as `model`: the default agent under two, and each by its own. */
export class Models {
  readonly #agents: Agents;
  readonly #createdSeconds: number;

  constructor({ agents, now }: { agents: Agents; now: number }) {
    this.#agents = agents;
    this.#createdSeconds = Math.floor(now / 1_000);
  }

  list(): Model[] {
    return ['openclaw', 'openclaw/default', ...this.#agents.ids.map((id) => `openclaw/${id}`)]
      .filter((id, index, all) => all.indexOf(id) === index)
      .map((id) => ({ id, object: 'model', created: this.#createdSeconds, owned_by: 'openclaw' }));
  }

  /** The model of that name; throws 404. */
  find(id: string): Model {
    const model = this.list().find((known) => known.id === id);
    if (model) return model;
    throw notFound(`The model '${id.slice(0, 128)}' does not exist; /v1/models lists those that do.`);
  }

  /** The agent that a model names; undefined for the default one. Throws 400 for a name that is none. */
  agentOf(model: string): string | undefined {
    if (model === 'openclaw' || model === 'openclaw/default') return undefined;
    const id = model.startsWith('openclaw/') ? model.slice('openclaw/'.length) : '';
    if (this.#agents.ids.includes(id)) return id;
    throw badRequest(
      `The model '${model.slice(0, 128)}' does not exist; use openclaw, or openclaw/<agent>. /v1/models lists them.`,
    );
  }
}
