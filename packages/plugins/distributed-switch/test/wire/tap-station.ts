import { DeviceStream } from "./device-stream.ts";
import { TapDevice } from "../../src/wire/tap/tap-device.ts";
import { systemClock } from "../../src/wire/wire-clock.ts";
import { NetworkNamespace } from "./network-namespace.ts";

export interface TapStationOptions {
  /** The Unix socket on which it listens, as QEMU does for a NIC. */
  readonly path: string;
  readonly macAddress: string;
  /** With its prefix length. */
  readonly address: string;
  readonly mtu: number;
}

/** A host with the Linux kernel's network stack behind a switch port: a namespace with a tap that is joined to a stream socket. */
export class TapStation implements AsyncDisposable {
  readonly namespace: NetworkNamespace = new NetworkNamespace();
  readonly #stream: DeviceStream;

  private constructor({ path, macAddress, address, mtu }: TapStationOptions) {
    this.#stream = new DeviceStream({
      ...{ path, clock: systemClock },
      open: (handlers) => {
        const tap = TapDevice.open({ name: "vdcs%d", ...handlers });
        const { name } = tap;
        this.namespace.take(name);
        this.namespace.withoutOffloads(name);
        this.namespace.ip(`link set ${name} mtu ${mtu} address ${macAddress}`);
        this.namespace.ip(`addr add ${address} dev ${name}`);
        this.namespace.ip(`link set ${name} up`);
        return tap;
      },
    });
  }

  static async open(options: TapStationOptions): Promise<TapStation> {
    const station = new TapStation(options);
    await station.#stream.start();
    if (station.#stream.up) return station;
    await station[Symbol.asyncDispose]();
    throw new Error(`no tap for a station: ${station.#stream.reason}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream.close();
    this.namespace[Symbol.dispose]();
  }
}
