import type { ConnectPort, PortBinding, SwitchSpec, SwitchStatus } from "@vdc-os/core/network/v1";
import { must, mustEqual } from "../suite/must.ts";
import { hostOf, type NetworkTest } from "./network-instance.ts";
import { openNic, type SuiteNic } from "./suite-nic.ts";
import { decodeTestFrame, encodeTestFrame, everybody, type TestFrame } from "./test-frame.ts";

/** How a frame differs from an untagged broadcast from the station's own address. */
export type SayOptions = Partial<Pick<TestFrame, "to" | "from" | "tag">>;

/** A VM on the network: says texts, and hears them. */
export class Station {
  readonly mac: string;
  readonly binding: PortBinding;
  readonly nic: SuiteNic;
  /** What arrived, in order. A text that came with a tag has the VLAN behind it: `hello@10`. */
  readonly heard: string[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(binding: PortBinding, mac: string, nic: SuiteNic) {
    this.binding = binding;
    this.mac = mac;
    this.nic = nic;
    nic.onFrame = (bytes) => {
      const frame = decodeTestFrame(bytes);
      if (frame === undefined) return;
      this.heard.push(frame.tag === undefined ? frame.text : `${frame.text}@${frame.tag}`);
      for (const wake of [...this.#waiting]) wake();
    };
  }

  say(text: string, options: SayOptions = {}): void {
    this.nic.send(encodeTestFrame({ to: everybody, from: this.mac, text, ...options }));
  }

  /** The texts that arrived and begin so. */
  heardOf(beginning: string): readonly string[] {
    return this.heard.filter((text) => text.startsWith(beginning));
  }

  /** Resolves when it has heard a text. */
  async hears(text: string): Promise<void> {
    while (!this.heard.includes(text)) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }
}

/** Who must hear whom, by the index of the stations. */
export type Reaches = (from: number, to: number) => boolean;

/** The stations of one requirement; they are closed with it. */
export class Stations implements AsyncDisposable {
  readonly #test: NetworkTest;
  readonly #nics: SuiteNic[] = [];
  #rounds = 0;

  constructor(test: NetworkTest) {
    this.#test = test;
  }

  /** Connects a port and plays its VM. Resolves when the switch says that the link is up. */
  async connect(spec: SwitchSpec, port: Partial<ConnectPort> & { readonly portKey: string }): Promise<Station> {
    const test = this.#test;
    const input = portOf(test, spec, port);
    const binding = await test.provider.connectPort(input, test.operation());
    const station = await this.plug(binding, input.mac);
    await untilStatus(test, spec.switchId, ({ ports }) =>
      ports.some(({ portKey, link, generation }) => {
        return portKey === input.portKey && generation === input.generation && link === "up";
      }),
    );
    return station;
  }

  /** Plays the VM of a binding. */
  async plug(binding: PortBinding, mac: string): Promise<Station> {
    const nic =
      (await this.#test.instance.openNic?.(binding, mac)) ??
      (await openNic(binding)) ??
      this.#test.skip(`the suite can't play a NIC of '${binding.attachment.kind}': give 'openNic'`);
    this.#nics.push(nic);
    return new Station(binding, mac, nic);
  }

  /**
   * Lets everybody speak to all, and holds who heard whom against the matrix. A frame that must not arrive has no event to wait for: so
   * each round ends when everything that must arrive has, and what a round should not have brought is looked for after the next one, whose frames
   * came behind it.
   */
  async mustReach(stations: readonly Station[], reaches: Reaches, when: string): Promise<void> {
    const pairs = stations.flatMap((from, i) =>
      stations.flatMap((to, j) => (i !== j && reaches(i, j) ? [{ from, to, i }] : [])),
    );
    // Between hosts a path may take a moment to come up, and a network may lose what was sent before.
    for (const { from, to, i } of pairs) await this.#warm(from, to, `warm ${this.#rounds}.${i}`);
    const rounds = [0, 1].map(() => {
      this.#rounds += 1;
      return `round ${this.#rounds}`;
    });
    for (const round of rounds) {
      stations.forEach((station, i) => {
        station.say(`${round}.${i}`);
      });
      await Promise.all(pairs.map(({ to, i }) => to.hears(`${round}.${i}`)));
    }
    const heard = stations.map((_, i) =>
      stations.flatMap((station, j) => (station.heard.includes(`${rounds[0]}.${i}`) ? [j] : [])),
    );
    const wanted = stations.map((_, i) => stations.flatMap((__, j) => (i !== j && reaches(i, j) ? [j] : [])));
    mustEqual(heard, wanted, `who hears station 0, 1, ... ${when}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nics.map((nic) => nic.close()));
  }

  async #warm(from: Station, to: Station, text: string): Promise<void> {
    from.say(text);
    const again = setInterval(() => from.say(text), 50);
    const { signal } = this.#test.operation();
    try {
      await Promise.race([
        to.hears(text),
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      ]);
    } finally {
      clearInterval(again);
    }
  }
}

/** The input of `connectPort`, with what the requirement does not say filled in: the first host and port group, generation 1. */
export function portOf(
  test: NetworkTest,
  { switchId, portGroups }: SwitchSpec,
  port: Partial<ConnectPort> & { readonly portKey: string },
): ConnectPort {
  const number = [...port.portKey].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 0x1_0000, 7);
  const mac = `52:54:00:00:${number
    .toString(16)
    .padStart(4, "0")
    .replace(/(..)(..)/, "$1:$2")}`;
  return { switchId, portGroup: portGroups[0]?.key ?? "", host: hostOf(test, 0), mac, generation: 1, ...port };
}

/** Applies a spec, and waits until every member has it. */
export async function applied(test: NetworkTest, spec: SwitchSpec, generation: number): Promise<void> {
  await test.provider.applySwitch({ spec, generation }, test.operation());
  await untilStatus(test, spec.switchId, ({ members }) =>
    members.every(({ state, realizedGeneration }) => state === "up" && realizedGeneration >= generation),
  );
}

/** The first status, told by the watch, for which the condition holds. */
export async function untilStatus(
  test: NetworkTest,
  switchId: string,
  condition: (status: SwitchStatus) => boolean,
): Promise<SwitchStatus> {
  for await (const item of test.provider.watchSwitch({ switchId }, test.operation())) {
    const status =
      item.type === "resync" ? await test.provider.switchStatus({ switchId }, test.operation()) : item.object;
    if (condition(status)) return status;
  }
  must(false, "watchSwitch must last until it is cancelled");
  throw new Error("unreachable");
}
