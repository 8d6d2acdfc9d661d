import { connectOvsdb, type OvsdbClient, type Transaction } from "@vdc-os/ovsdb";
import { OpenVSwitch, type OpenVSwitchTables } from "@vdc-os/ovsdb/open-vswitch";
import { startOpenVswitch } from "@vdc-os/ovsdb/testing";
import { median } from "@vdc-os/testing";
import { missing } from "../sandbox/requirements.ts";
import type { FrameCostOptions } from "./frame-cost.ts";

const batch = 1000;
const bridge = "br0";

export interface PortAddOptions extends FrameCostOptions {
  readonly skip: (what: string) => void;
}

/**
 * How long it takes until Open vSwitch has a port that was asked for: through our client, against a process of `ovs-vsctl`, which waits
 * for the same. The switch has dummy devices, so that the time is the database's and the daemon's and not the kernel's.
 */
export async function addingOvsPorts({ rounds, quick, report, skip }: PortAddOptions): Promise<void> {
  const absent = missing(["ovs-vsctl", "ovs-vswitchd", "ovsdb-server"]);
  if (absent.length > 0) return skip(`OVSDB: not installed: ${absent.join(", ")}`);
  await using peer = await startOpenVswitch();
  await peer.vsctl("add-br", bridge);
  await using client = await connectOvsdb({ remotes: peer.database.remote, model: OpenVSwitch });
  const monitor = await client.monitor({ Open_vSwitch: ["cur_cfg"] });
  const realised = (generation: number): Promise<unknown> =>
    monitor.waitFor(({ Open_vSwitch }) => (Open_vSwitch.only()?.cur_cfg ?? 0) >= generation, { timeoutMs: 60_000 });
  const ours = new PortAdder(client, realised);

  const singles = quick ? 5 : 15;
  const runs: {
    readonly single: number;
    readonly process: number;
    readonly batch: number;
    readonly command: number;
  }[] = [];
  for (let round = -1; round < rounds; round++) {
    const single: number[] = [];
    const process: number[] = [];
    for (let index = 0; index < singles; index++) {
      single.push(await milliseconds(() => ours.add([`one${index}`])));
      process.push(await milliseconds(() => peer.vsctl("add-port", bridge, `two${index}`, ...internal(`two${index}`))));
    }
    await ours.removeAll();
    const names = Array.from({ length: batch }, (_, index) => `many${index}`);
    const inOne = await milliseconds(() => ours.add(names));
    await ours.removeAll();
    const command = names.flatMap((name) => ["--", "add-port", bridge, name, ...internal(name)]);
    const inOneProcess = await milliseconds(() => peer.vsctl(...command));
    await ours.removeAll();
    // The first round is for the compilers.
    if (round >= 0)
      runs.push({ single: median(single), process: median(process), batch: inOne, command: inOneProcess });
  }
  const middle = (key: keyof (typeof runs)[number]): number => median(runs.map((run) => run[key]));
  report({
    name: "OVS port added and realised, over an ovs-vsctl process",
    bound: { atMost: 0.15 },
    ratios: runs.map((run) => run.single / run.process),
    detail: `${middle("single").toFixed(1)} against ${middle("process").toFixed(1)} ms`,
  });
  report({
    name: "1,000 in one batch, each, over an ovs-vsctl process",
    bound: { atMost: 0.15 },
    ratios: runs.map((run) => run.batch / batch / run.process),
    detail: `${middle("batch").toFixed(0)} ms for all, ${((1000 * middle("batch")) / batch).toFixed(0)} us each`,
  });
  report({
    name: "1,000 in one batch, over one ovs-vsctl process for all",
    bound: "shown",
    ratios: runs.map((run) => run.batch / run.command),
    detail: `${middle("batch").toFixed(0)} against ${middle("command").toFixed(0)} ms`,
  });
}

/** Words for `ovs-vsctl` behind a port's name. */
function internal(name: string): string[] {
  return ["--", "set", "Interface", name, "type=internal"];
}

/** Adds ports in one transaction each time, and waits until the daemon has them. */
class PortAdder {
  readonly #client: OvsdbClient<OpenVSwitchTables>;
  readonly #realised: (generation: number) => Promise<unknown>;

  constructor(client: OvsdbClient<OpenVSwitchTables>, realised: (generation: number) => Promise<unknown>) {
    this.#client = client;
    this.#realised = realised;
  }

  async add(names: readonly string[]): Promise<void> {
    const transaction = this.#client.transaction();
    const ports = names.map((name) => {
      const face = transaction.insert("Interface", { name, type: "internal" });
      return transaction.insert("Port", { name, interfaces: [face] });
    });
    transaction.mutate("Bridge", { name: bridge }, [["ports", "insert", ports]]);
    await this.#realise(transaction);
  }

  async removeAll(): Promise<void> {
    const transaction = this.#client.transaction();
    transaction.update("Bridge", { name: bridge }, { ports: [] });
    await this.#realise(transaction);
  }

  async #realise(transaction: Transaction<OpenVSwitchTables>): Promise<void> {
    transaction.mutate("Open_vSwitch", [], [["next_cfg", "+=", 1]]);
    const root = transaction.select("Open_vSwitch", [], ["next_cfg"]);
    const result = await this.#client.transact(transaction);
    await this.#realised(result.rows(root)[0]?.next_cfg ?? 0);
  }
}

async function milliseconds(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
