import { memoryTransportPair, systemClock } from '@openclaw/protocol';
import { VirtualClock, settle } from '@openclaw/protocol/testing';
import { createGateway, memoryStore } from '@openclaw/server';
export { VirtualClock, settle, createGateway, memoryStore };
export class Peer {
  frames: any[] = []; n = 0; t: any; closed: any;
  static async make(gateway: any, identity: any, { streams = true } = {}) {
    const p = new Peer();
    const [inside, outside] = memoryTransportPair();
    gateway.accept(inside, identity);
    p.t = outside;
    outside.open({ message: (m: string) => p.frames.push(JSON.parse(m)), drained() {}, closed: (c: any, r: any) => { p.closed = [c, r]; } });
    const res = await p.req('connect', { minProtocol: 4, maxProtocol: 4, role: identity.role, client: { id: 'gateway-client', version: '1', platform: 'linux', mode: 'backend' }, scopes: [...(identity.scopes ?? [])], caps: streams ? ['streams'] : [] });
    if (!res?.ok) throw new Error('connect refused ' + JSON.stringify(res));
    return p;
  }
  send(method: string, params: any = {}) { const id = `r${++this.n}`; this.t.send(JSON.stringify({ type: 'req', id, method, params })); return id; }
  answers(id: string) { return this.frames.filter((f) => f.type === 'res' && f.id === id); }
  async req(method: string, params: any = {}, turns = 400) {
    const id = this.send(method, params);
    for (let i = 0; i < turns; i++) { await settle(1); const a = this.answers(id)[0]; if (a) return a; if (i > 100) await new Promise((r) => setTimeout(r, 5)); }
    return undefined;
  }
  events(name: string) { return this.frames.filter((f) => f.type === 'event' && f.event === name); }
}
export const all = ['operator.read', 'operator.write', 'operator.admin', 'operator.approvals', 'operator.pairing'];
export const op = (g: any, o = {}) => Peer.make(g, { role: 'operator', scopes: all }, o);
export const agent = async (g: any, id = 'main', { instance = 'instance-1', resumable = true, isLocal = true } = {}) => {
  const p = await Peer.make(g, { role: 'agent', id, isLocal });
  const a = await p.req('agent.attach', { instance, resumable });
  if (!a.ok) throw new Error(JSON.stringify(a));
  return p;
};
export function wrap(inner: any) {
  const ctl: any = { fail: false, hold: false, held: [] as (() => void)[], over: {} };
  const store: any = new Proxy(inner, { get(target, name) {
    if (name in ctl.over) return ctl.over[name];
    if (name === 'commit') return async (batch: any) => {
      if (ctl.hold) await new Promise<void>((r) => ctl.held.push(r));
      if (ctl.fail) throw new Error('no space');
      return target.commit(batch);
    };
    const v = target[name]; return typeof v === 'function' ? v.bind(target) : v; } });
  return { store, ctl };
}
