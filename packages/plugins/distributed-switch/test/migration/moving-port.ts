import type { MigrationTicket, PortMigrationFacet } from "@vdc-os/core/network/v1";
import type { FakeNic } from "../fake-nic.ts";
import type { SpawnedHost } from "../spawned-host.ts";
import { SwitchCluster, testSpec } from "../switch-cluster.ts";
import { NumberedTraffic, type StreamTally } from "./numbered-traffic.ts";

/** The port that moves. */
export const moving = { switchId: "sw", portKey: "nic-1" } as const;
const hosts = ["a", "b", "c"] as const;
/** Streams that the moving VM sends, by the host that gets them. */
const outward = hosts.map((host) => `to ${host}`);

/**
 * Three hosts with real switch processes; a VM on each, and one that moves between the first two. Each sends the moving one numbered frames,
 * and gets such from it; the third's VM also sends broadcasts.
 */
export class MovingPort implements AsyncDisposable {
  readonly cluster: SwitchCluster;
  readonly traffic: NumberedTraffic = new NumberedTraffic();
  readonly hosts: ReadonlyMap<string, SpawnedHost>;
  /** The VMs that stay, by their host. */
  readonly others: ReadonlyMap<string, FakeNic>;
  /** Every NIC that the moving VM has had. */
  readonly nics: FakeNic[];
  /** The one that it has now; none while it is on its way. */
  now: FakeNic | undefined;
  generation = 1;

  private constructor(cluster: SwitchCluster, processes: ReadonlyMap<string, SpawnedHost>, vms: readonly FakeNic[]) {
    const [first, ...others] = vms;
    this.cluster = cluster;
    this.hosts = processes;
    this.nics = first === undefined ? [] : [first];
    this.now = first;
    this.others = new Map(others.map((nic, index) => [hosts[index] ?? "", nic]));
    for (const [host, nic] of this.others) {
      if (first === undefined) continue;
      this.traffic.add(`from ${host}`, nic, first);
      this.traffic.add(`to ${host}`, first, nic);
      if (host === "c") this.traffic.add("broadcast", nic, "all");
    }
  }

  static async create(): Promise<MovingPort> {
    const cluster = await SwitchCluster.create();
    const processes = new Map(hosts.map((host) => [host, cluster.addSpawnedHost(host)]));
    await cluster.apply(testSpec(hosts), 1);
    await cluster.allUp(1);
    const vms = [await cluster.plug("nic-1", "a")];
    for (const [index, host] of hosts.entries()) vms.push(await cluster.plug(`nic-${index + 2}`, host));
    return new MovingPort(cluster, processes, vms);
  }

  get migration(): PortMigrationFacet {
    const { migration } = this.cluster.control.facets;
    if (migration === undefined) throw new Error("the facet is missing");
    return migration as unknown as PortMigrationFacet;
  }

  host(name: string): SpawnedHost {
    return this.hosts.get(name) as SpawnedHost;
  }

  /** Prepares the next move, and starts the VM's NIC at its target. */
  async prepare(targetHost: string): Promise<{ readonly ticket: MigrationTicket; readonly next: FakeNic }> {
    const generation = this.generation + 1;
    const { migration, cluster } = this;
    const ticket = await migration.prepareMigration({ ...moving, targetHost, generation }, cluster.operation());
    const { attachment } = ticket.target;
    if (attachment.kind !== "qemu-stream") throw new Error("another attachment");
    const next = await cluster.listen(attachment.path, this.nics[0]?.mac ?? "");
    this.nics.push(next);
    await next.until(({ connected }) => connected);
    return { ticket, next };
  }

  /** Switches over. The VM rests meanwhile, as it does at the end of a live migration. */
  async activate({ ticket, next }: { readonly ticket: MigrationTicket; readonly next: FakeNic }): Promise<void> {
    this.rest();
    await this.migration.activateMigration({ ticket: ticket.ticket }, this.cluster.operation());
    this.goOn(next);
    this.generation = ticket.target.generation;
  }

  async complete({ ticket }: { readonly ticket: MigrationTicket }): Promise<void> {
    await this.migration.completeMigration({ ticket: ticket.ticket }, this.cluster.operation());
  }

  async move(targetHost: string): Promise<void> {
    const prepared = await this.prepare(targetHost);
    await this.traffic.rounds(50);
    await this.activate(prepared);
    await this.complete(prepared);
  }

  /** The moving VM sends nothing. */
  rest(): void {
    this.traffic.move(this.now, undefined, outward);
    this.now = undefined;
  }

  /** The moving VM sends by this NIC. */
  goOn(nic: FakeNic): void {
    this.traffic.move(undefined, nic, outward);
    this.now = nic;
  }

  /** Ends the traffic, and says what became of it when the last of it must have come. */
  async end(): Promise<readonly StreamTally[]> {
    const { traffic, now, others } = this;
    if (now === undefined) throw new Error("the VM is on its way");
    traffic.stop();
    // Frames of two places keep their order: what comes after the last shows that it was the last.
    for (const [host, nic] of others) {
      nic.say(`end ${host}`, now);
      now.say(`end ${host}`, nic);
      await Promise.all([now.heard(`end ${host}`), nic.heard(`end ${host}`)]);
    }
    return [
      ...[...others].map(([host]) => traffic.tally(`from ${host}`, this.nics)),
      ...[...others].map(([host, nic]) => traffic.tally(`to ${host}`, [nic])),
    ];
  }

  /** Told to whoever reads the test's output. */
  report(title: string, tallies: readonly StreamTally[]): void {
    const sum = (numberOf: (tally: StreamTally) => number): number =>
      tallies.reduce((total, tally) => total + numberOf(tally), 0);
    const sent = sum((tally) => tally.sent);
    const lost = sum((tally) => tally.lost.length);
    const duplicated = sum((tally) => tally.duplicated.length);
    const outOfOrder = sum((tally) => tally.outOfOrder);
    console.log(`${title}: ${sent} frames sent, ${lost} lost, ${duplicated} duplicated, ${outOfOrder} out of order`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.traffic[Symbol.dispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}
