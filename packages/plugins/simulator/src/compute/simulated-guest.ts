import { toVdcError } from "@vdc-os/core";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import type { SimulatedBlockDevice } from "../storage/simulated-block-device.ts";
import type { WorldServices } from "../world/world-services.ts";
import type { GuestConsole } from "./guest-console.ts";
import { GuestNetwork } from "./guest-network.ts";
import { type GuestOptions, readGuestOptions } from "./guest-options.ts";

/** What a guest did with a disk. */
export interface DiskCounters {
  readBytes: number;
  writtenBytes: number;
  readOperations: number;
  writeOperations: number;
}

/** Options of {@link SimulatedGuest}. */
export interface SimulatedGuestOptions {
  readonly world: WorldServices;
  readonly spec: VmSpec;
  readonly console: GuestConsole;
  /** How long it takes from power-on to `VDC-READY`, in milliseconds. */
  readonly bootMs: number;
  /** The guest has switched itself off. */
  readonly onPowerOff: () => void;
}

/** Where a guest writes how often a guest wrote there, if the disk is one of the VDC-OS test guest's, in bytes. */
const markerOffset = 8192 * 4096;

/** How long a guest waits before it asks for a page again, in milliseconds. */
const fetchAgainMs = 200;

/** What stands for a guest: it boots after a while, writes the lines of the VDC-OS test guest, and serves and fetches pages. */
export class SimulatedGuest {
  readonly counters: Map<string, DiskCounters> = new Map();
  readonly #options: SimulatedGuestOptions;
  readonly #guest: GuestOptions;
  readonly #poweredOn: number;
  #cancel: () => void;
  #network: GuestNetwork | undefined;
  #label = "no disk";
  #ended = false;

  constructor(options: SimulatedGuestOptions) {
    this.#options = options;
    this.#guest = readGuestOptions(options.spec.boot);
    this.#poweredOn = options.world.clock.monotonic();
    options.console.line("VDC-SIMULATED no guest runs here: the VDC-OS simulator writes these lines");
    for (const { id } of options.spec.disks) {
      this.counters.set(id, { readBytes: 0, writtenBytes: 0, readOperations: 0, writeOperations: 0 });
    }
    this.#cancel = options.world.clock.schedule(options.bootMs, () => void this.#boot());
  }

  /** Types a line on the guest's console. */
  type(text: string): void {
    for (const line of text.split(/\r?\n/)) {
      if (line === "") continue;
      if (line.trim() === "poweroff") {
        this.powerOff();
        return;
      }
      const [, echoed] = /^echo (.*)$/.exec(line) ?? [];
      const { console } = this.#options;
      console.line(echoed ?? "VDC-SIMULATED a simulated guest has no shell: it knows 'echo' and 'poweroff'");
      console.line(`VDC-DONE ${echoed === undefined ? 127 : 0}`);
    }
  }

  /** The guest switches itself off. */
  powerOff(): void {
    if (this.#ended) return;
    this.#options.console.line(`VDC-POWEROFF ${this.#uptime()}`);
    this.end();
    this.#options.onPowerOff();
  }

  /** Ends the guest without a word. */
  end(): void {
    this.#ended = true;
    this.#cancel();
    this.#network?.close();
  }

  async #boot(): Promise<void> {
    const { world, spec, console } = this.#options;
    await this.#readDisk();
    if (this.#ended) return;
    this.#network = new GuestNetwork(world, spec.nics, (address) => this.#pageFor(address));
    console.line(`VDC-READY ${this.#uptime()}`);
    const target = /^https?:\/\/([^/:]+)/.exec(this.#guest.fetch ?? "")?.[1];
    if (target !== undefined) this.#fetch(target);
  }

  async #readDisk(): Promise<void> {
    const [disk] = this.#options.spec.disks;
    const { world, console } = this.#options;
    if (disk === undefined) return;
    try {
      const device = world.openTransport(disk.transport);
      this.#label = textOf(await this.#read(disk.id, device, 0, 4096));
      console.line(`VDC-DISK ${device.capacityBytes} ${this.#label}`);
      if (!this.#label.startsWith("vdc-data-disk ") || device.capacityBytes <= markerOffset + 4096) return;
      const [, before] = /^VDC-MARKER (\d+) /.exec(textOf(await this.#read(disk.id, device, markerOffset, 4096))) ?? [];
      const count = Number(before ?? 0) + 1;
      const block = Buffer.alloc(4096);
      block.write(`VDC-MARKER ${count} ${this.#guest.host}\n`);
      await device.write(markerOffset, block);
      await device.flush();
      const counters = this.counters.get(disk.id);
      if (counters !== undefined) {
        counters.writtenBytes += block.length;
        counters.writeOperations += 1;
      }
      console.line(`VDC-MARKER ${count}`);
    } catch (error) {
      // As a guest would see it: an error of the disk, on its console.
      console.line(`VDC-SIMULATED disk '${disk.id}' failed: ${toVdcError(error).message}`);
    }
  }

  async #read(disk: string, device: SimulatedBlockDevice, offset: number, length: number): Promise<Uint8Array> {
    const bytes = await device.read(offset, Math.min(length, device.capacityBytes - offset));
    const counters = this.counters.get(disk);
    if (counters !== undefined) {
      counters.readBytes += bytes.length;
      counters.readOperations += 1;
    }
    return bytes;
  }

  #pageFor(address: string): string | undefined {
    const { ip, host } = this.#guest;
    if (this.#ended || ip === undefined || ip.split("/")[0] !== address) return undefined;
    return `This is ${host} at ${ip}, disk: ${this.#label} (simulated)`;
  }

  #fetch(address: string): void {
    const { world, console } = this.#options;
    let answered = false;
    this.#network?.ask(address, (body) => {
      answered = true;
      console.line(`VDC-FETCH ${this.#uptime()} ${body.split("\n")[0]}`);
    });
    if (!answered && !this.#ended) this.#cancel = world.clock.schedule(fetchAgainMs, () => this.#fetch(address));
  }

  #uptime(): string {
    return ((this.#options.world.clock.monotonic() - this.#poweredOn) / 1000).toFixed(2);
  }
}

/** The first line of a block. */
function textOf(block: Uint8Array): string {
  const text = Buffer.from(block).toString("latin1");
  return (text.split(/[\n\0]/)[0] ?? "").replace(/[^\x20-\x7e]/g, "");
}
