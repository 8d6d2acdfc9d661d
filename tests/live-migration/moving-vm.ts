import type { Calls, Handle } from "@vdc-os/core";
import type {
  DistributedSwitch,
  MigrationTicket,
  PortBinding,
  PortMigrationFacet,
  SwitchSpec,
} from "@vdc-os/core/network/v1";
import { DaemonFolder } from "@vdc-os/ovsdb/testing";
import type { SuiteNic } from "@vdc-os/ready/network";
import { BootServer } from "./boot-server.ts";
import { EchoPeer } from "./echo-peer.ts";
import { EchoVm } from "./echo-vm.ts";
import type { Station } from "./ip-frames.ts";
import { NumberedEchoes } from "./numbered-echoes.ts";
import { VmWire } from "./vm-wire.ts";

/** The port that moves. */
export const moving = { switchId: "lan", portKey: "vm" } as const;
const vm: Station = { mac: "52:54:00:00:30:10", address: "192.0.2.10" };

/** Where a VM moves. */
export interface MovingVmOptions {
  readonly network: Handle<DistributedSwitch>;
  /** A peer is on each; the VM boots on the first. */
  readonly hosts: readonly string[];
  /** Plays the NIC of a binding, as whoever runs the VM does. */
  readonly openNic: (binding: PortBinding) => Promise<SuiteNic>;
  /** Resolves when the switch has seen the NIC at a move's target, and shut it. */
  readonly untilShut: (target: PortBinding) => Promise<void>;
}

/** A move whose target waits for the VM. */
export interface PreparedMove {
  readonly ticket: MigrationTicket;
  readonly source: EchoVm;
  readonly target: EchoVm;
}

/** A real VM that moves between the hosts of a switch, while a peer on each host asks it for echoes. */
export class MovingVm implements AsyncDisposable {
  readonly peers: readonly EchoPeer[];
  readonly echoes: NumberedEchoes;
  readonly migration: Calls<PortMigrationFacet>;
  /** Where the VM is. */
  now: EchoVm;
  readonly #options: MovingVmOptions;
  readonly #folder: DaemonFolder;
  readonly #stack: AsyncDisposableStack;
  #generation = 1;

  private constructor(
    options: MovingVmOptions,
    parts: Pick<MovingVm, "peers" | "echoes" | "migration" | "now"> & { readonly folder: DaemonFolder },
    stack: AsyncDisposableStack,
  ) {
    this.peers = parts.peers;
    this.echoes = parts.echoes;
    this.migration = parts.migration;
    this.now = parts.now;
    this.#options = options;
    this.#folder = parts.folder;
    this.#stack = stack;
  }

  /** Makes the switch, and boots the VM; resolves when every peer has had an echo of it, and asks on. */
  static async boot(options: MovingVmOptions): Promise<MovingVm> {
    const { network, hosts, openNic } = options;
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(await DaemonFolder.create());
    await network.applySwitch({ spec: specOf(hosts), generation: 1 });
    const facet = await network.facet("migration");
    if (!facet.available) throw new Error(facet.reason);
    const connect = async (portKey: string, host: string, { mac, address }: Station): Promise<SuiteNic> => {
      const port = { switchId: moving.switchId, portGroup: "vms", portKey, host, generation: 1 };
      return openNic(await network.connectPort({ ...port, mac, addresses: [address] }));
    };
    const peers: EchoPeer[] = [];
    for (const [index, host] of hosts.entries()) {
      const station = { mac: `52:54:00:00:30:2${index}`, address: `192.0.2.2${index}` };
      const peer = new EchoPeer({ ...station, host, identifier: index }, await connect(`peer-${index}`, host, station));
      stack.defer(() => peer.close());
      peers.push(peer);
    }
    const [first] = peers;
    if (first === undefined) throw new Error("there are no hosts");
    const server = new BootServer(first, vm);
    stack.defer(() => server.close());
    const echoes = stack.use(new NumberedEchoes(peers, vm));
    const nic = await connect(moving.portKey, first.host, vm);
    const wire = stack.use(await VmWire.listen(folder.socket("vm-1.net"), nic));
    await untilLinksAreUp(network);
    const now = stack.use(await EchoVm.start({ folder, name: "vm-1", mac: vm.mac, wire }));
    await echoes.begin(wire);
    return new MovingVm(options, { peers, echoes, migration: facet.operations, now, folder }, stack.move());
  }

  /** Readies the port on the next host, and a QEMU there that waits for the VM. */
  async prepare(targetHost: string): Promise<PreparedMove> {
    this.#generation += 1;
    const generation = this.#generation;
    const ticket = await this.migration.prepareMigration({ ...moving, targetHost, generation });
    const name = `vm-${generation}`;
    const nic = await this.#options.openNic(ticket.target);
    const wire = this.#stack.use(await VmWire.listen(this.#folder.socket(`${name}.net`), nic));
    await this.#options.untilShut(ticket.target);
    this.echoes.follow(wire);
    const target = EchoVm.start({ folder: this.#folder, name, mac: vm.mac, wire, incoming: true });
    return { ticket, source: this.now, target: this.#stack.use(await target) };
  }

  /** Moves the running VM; resolves when it runs at the target, and has announced itself there. */
  async migrate(move: PreparedMove): Promise<void> {
    const { source, target } = move;
    await Promise.all([target.changes("RESUME"), source.beginMigration(target)]);
    await this.#arrived(move);
  }

  /** Moves the VM that stands still at the end of its move; resolves as {@link migrate}. */
  async goOn(move: PreparedMove): Promise<void> {
    const { source, target } = move;
    await Promise.all([target.changes("RESUME"), source.finishMigration()]);
    await this.#arrived(move);
  }

  async #arrived({ target }: PreparedMove): Promise<void> {
    await target.wire.until(({ announcedAt }) => announcedAt >= 0);
    this.now = target;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function specOf(hosts: readonly string[]): SwitchSpec {
  const security = { promiscuous: false, forgedTransmits: false, macChanges: false };
  const setting = { vlan: { kind: "access", id: 10 }, blocked: false, security } as const;
  return {
    switchId: moving.switchId,
    name: "lan",
    mtu: 1_400,
    transport: "overlay",
    members: hosts.map((host) => ({ host, uplinks: [] })),
    portGroups: [{ key: "vms", name: "vms", binding: "static", setting }],
  };
}

async function untilLinksAreUp(network: Handle<DistributedSwitch>): Promise<void> {
  for await (const item of network.watchSwitch({ switchId: moving.switchId })) {
    if (item.type === "resync") continue;
    const { members, ports } = item.object;
    if (members.every(({ state }) => state === "up") && ports.every(({ link }) => link === "up")) return;
  }
}
