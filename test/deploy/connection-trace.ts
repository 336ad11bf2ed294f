/** Addresses that a process and all that it started sent to, or tried to. */
export interface TracedAddresses {
  /** This machine itself: 127.0.0.0/8 and ::1. */
  loopback: string[];
  /** Everything else that goes over a network. */
  outside: string[];
}

/** Reads what `strace -f -e trace=connect,sendto,sendmsg,sendmmsg` wrote. Sockets of the file system are no network. */
export function tracedAddresses(trace: string): TracedAddresses {
  const found: TracedAddresses = { loopback: [], outside: [] };
  const pattern =
    /sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)|sa_family=AF_INET6, sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]+)"/g;
  for (const [, port4, address4, port6, address6] of trace.matchAll(pattern)) {
    const address = address4 ?? address6 ?? '';
    const isLoopback = /^127\.|^::1$|^::ffff:127\./.test(address);
    (isLoopback ? found.loopback : found.outside).push(`${address} port ${port4 ?? port6}`);
  }
  return found;
}
