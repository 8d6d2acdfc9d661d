import { Socket } from "node:net";
import { nativeNetwork } from "./native-network-calls.ts";

/** From linux/netlink.h and linux/if_link.h: the header, and where an interface's index stands behind it. */
const HEADER_BYTES = 16;
const INDEX_AT = HEADER_BYTES + 4;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
/** What the kernel may say at once; longer messages are cut, and then everybody looks again. */
const READ_BYTES = 64 * 1024;

/**
 * Tells when something changes about interfaces of this network namespace, by the kernel's own messages (rtnetlink(7)): nobody has to look again and
 * again. One socket for the whole process, open while somebody watches.
 */
export class LinkMonitor {
  static readonly #shared = new LinkMonitor();
  readonly #watchers = new Map<number, Set<() => void>>();
  #socket: Socket | undefined;

  /** Calls back after each change of the interface of this index, and whenever changes may have been missed. Returns what ends it. */
  static watch(index: number, onChange: () => void): () => void {
    return LinkMonitor.#shared.#watch(index, onChange);
  }

  #watch(index: number, onChange: () => void): () => void {
    const known = this.#watchers.get(index) ?? new Set();
    this.#watchers.set(index, known.add(onChange));
    this.#socket ??= this.#open();
    return () => {
      known.delete(onChange);
      if (known.size === 0 && this.#watchers.get(index) === known) this.#watchers.delete(index);
      if (this.#watchers.size > 0) return;
      this.#socket?.destroy();
      this.#socket = undefined;
    };
  }

  #open(): Socket | undefined {
    const { calls } = nativeNetwork();
    const fd = calls?.linkEvents() ?? -1;
    if (calls === undefined || fd < 0) return undefined;
    let socket: Socket | undefined;
    calls.adoptable(fd, (adopted) => {
      socket = new Socket({
        fd: adopted,
        readable: true,
        writable: false,
        onread: {
          buffer: Buffer.allocUnsafeSlow(READ_BYTES),
          callback: (octets, buffer) => {
            this.#tell(changedLinks(Buffer.from(buffer.buffer, buffer.byteOffset, octets)));
            return true;
          },
        },
      });
    });
    socket?.unref();
    // The kernel had more to say than there was room for (ENOBUFS): what it was is not known any more.
    socket?.on("error", () => undefined);
    socket?.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = this.#open();
      this.#tell(undefined);
    });
    return socket;
  }

  #tell(changed: ReadonlySet<number> | undefined): void {
    for (const [index, watchers] of [...this.#watchers]) {
      if (changed === undefined || changed.has(index)) for (const onChange of [...watchers]) onChange();
    }
  }
}

/** The indexes of the interfaces that the kernel's messages are about; undefined when they can't all be told. */
export function changedLinks(messages: Buffer): ReadonlySet<number> | undefined {
  const changed = new Set<number>();
  for (let at = 0; at < messages.length; ) {
    if (messages.length - at < HEADER_BYTES) return undefined;
    const length = messages.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > messages.length) return undefined;
    const type = messages.readUInt16LE(at + 4);
    if (type === RTM_NEWLINK || type === RTM_DELLINK) {
      if (length < INDEX_AT + 4) return undefined;
      changed.add(messages.readInt32LE(at + INDEX_AT));
    }
    // Messages begin at multiples of four octets.
    at += (length + 3) & ~3;
  }
  return changed;
}
