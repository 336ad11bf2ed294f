import type { Transport } from '@openclaw/protocol';
import type { EncodedFrame } from './encoded-frame.ts';
import { type ServerTransport, type ServerTransportEvents, watermarks } from './server-transport.ts';

/**
 * Puts a `MessagePort` or an in-memory pair behind the server's interface. Pings are nothing to it: a port tells when its
 * other side is gone. `pauseReading` has no effect on it; its owner holds messages back itself.
 */
export function localTransport(transport: Transport): ServerTransport {
  let isOpen = true;
  let isAboveHigh = false;
  let hasDrained = false;
  let owner: ServerTransportEvents | undefined;
  const send = (text: string) => {
    if (!isOpen) return;
    transport.send(text);
    if (transport.queuedBytes > watermarks.highBytes) isAboveHigh = true;
  };
  const end = (code: number, reason: string) => {
    isOpen = false;
    const events = owner;
    owner = undefined;
    events?.closed(code, reason);
  };
  return {
    isLocal: true,
    get isOpen() {
      return isOpen;
    },
    get queuedBytes() {
      return transport.queuedBytes;
    },
    hasDrained() {
      const had = hasDrained;
      hasDrained = false;
      return had;
    },
    open(events) {
      owner = events;
      transport.open({
        message: (text) => {
          if (isOpen) events.message(text, 0);
        },
        drained: () => {
          hasDrained = true;
          if (!isOpen || !isAboveHigh || transport.queuedBytes >= watermarks.lowBytes) return;
          isAboveHigh = false;
          events.drained();
        },
        closed: end,
      });
    },
    send: (frame: EncodedFrame) => send(frame.text),
    sendText: (text) => {
      send(text);
      return 0;
    },
    ping: () => undefined,
    pauseReading: () => undefined,
    setMaxFrameBytes: () => undefined,
    close(code, reason) {
      if (!isOpen) return;
      isOpen = false;
      transport.close(code, reason);
    },
    terminate() {
      if (isOpen) transport.close(1006, 'terminated');
      end(1006, 'terminated');
    },
  };
}
