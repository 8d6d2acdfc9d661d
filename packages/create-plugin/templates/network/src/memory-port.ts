import type { ConnectPort, PortStatistics } from "@vdc-os/core/network/v1";

/** A VM's end of a port. Whoever plays the VM sets `onFrame`. */
export interface MemoryNic {
  send(frame: Uint8Array): void;
  onFrame: (frame: Uint8Array) => void;
  close(): void;
}

/** A port, which stays when its owners come and go. */
export class MemoryPort {
  /** Who has connected it, and how. */
  owner: ConnectPort | undefined;
  /** Owners of a lower generation are refused. It never falls: this is the fence. */
  lowest = 0;
  nic: MemoryNic | undefined;
  readonly #count = { framesIn: 0, bytesIn: 0, forwarded: 0, framesOut: 0, bytesOut: 0 };
  readonly #drops = new Map<string, number>();

  /** Connects an owner in place of the one before. */
  connect(owner: ConnectPort): void {
    this.disconnect();
    this.owner = owner;
    this.lowest = owner.generation;
  }

  /** Cuts its owner off: frames of that go nowhere from here on. */
  disconnect(): void {
    this.owner = undefined;
    this.nic = undefined;
  }

  /** Counts a frame from the VM: it was forwarded, or dropped for a reason. */
  countIn({ length }: Uint8Array, dropped?: string): void {
    this.#count.framesIn += 1;
    this.#count.bytesIn += length;
    if (dropped === undefined) this.#count.forwarded += 1;
    else this.#drops.set(dropped, (this.#drops.get(dropped) ?? 0) + 1);
  }

  /** Gives a frame to the VM. */
  deliver(frame: Uint8Array): void {
    if (this.nic === undefined) return;
    this.#count.framesOut += 1;
    this.#count.bytesOut += frame.length;
    this.nic.onFrame(frame);
  }

  statistics(portKey: string): PortStatistics {
    const { framesIn, bytesIn, forwarded, framesOut, bytesOut } = this.#count;
    return {
      portKey,
      framesIn: String(framesIn),
      bytesIn: String(bytesIn),
      framesForwarded: String(forwarded),
      framesHeld: "0",
      dropsIn: Object.fromEntries([...this.#drops].map(([reason, count]) => [reason, String(count)])),
      framesOut: String(framesOut),
      bytesOut: String(bytesOut),
      dropsOut: {},
    };
  }
}
