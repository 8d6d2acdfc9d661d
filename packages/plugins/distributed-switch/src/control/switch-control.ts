import { join } from "node:path";
import {
  type DescribeInput,
  type Description,
  encodeCounter,
  type Generation,
  type OperationContext,
  type Page,
  type PageRequest,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import type {
  ConnectPort,
  DistributedSwitch,
  NetworkFacets,
  PortBinding,
  PortStatistics,
  SpecProblem,
  SwitchSpec,
  SwitchStatus,
} from "@vdc-os/core/network/v1";
import { isDeepStrictEqual } from "node:util";
import { attachmentKey } from "../process/host-config.ts";
import { addCounters, noCounters } from "../process/port-counters.ts";
import type { AttachmentCounters, PortCounters } from "../process/process-protocol.ts";
import { MAX_VNI_BASE, VNIS_PER_SWITCH } from "../dataplane/segment.ts";
import { describeSwitch } from "./describe-switch.ts";
import type { DesiredState, Write } from "./desired-state.ts";
import { effectiveSettingFacet, gateFacet } from "./facets.ts";
import { portId, settingOf } from "./host-config.ts";
import { HostMember, type HostMemberOptions } from "./host-member.ts";
import { hostFailure, unknownMember } from "./member-state.ts";
import { fencedError, fencingOf, switchNotFound } from "./port-ownership.ts";
import type { PortRecord, SwitchRecord } from "./records.ts";
import { statusOf } from "./switch-status.ts";
import { validateSetting, validateSwitch } from "./validate-switch.ts";

/** Longest path of a Unix socket on Linux, `sun_path` less its final zero. */
const longestSocketPath = 107;
const defaultPage = 200;

/**
 * The control side of the switch: takes over what is desired, durably, and then has each host's `HostMember` make it so.
 *
 * An operation that is acknowledged is in the state store; whether it is in force is told by `switchStatus`. `connectPort` and
 * `revokePort` wait for the hosts that they concern.
 */
export class SwitchControl implements DistributedSwitch {
  readonly facets: NetworkFacets;
  readonly #state: DesiredState;
  readonly #options: HostMemberOptions;
  readonly #members = new Map<string, HostMember>();
  readonly #watchers = new Set<() => void>();
  /** What attachments were last seen to have counted. */
  readonly #seen = new Map<string, PortCounters>();
  #closed = false;

  constructor(options: Omit<HostMemberOptions, "onView">) {
    this.#options = { ...options, onView: () => this.#notify() };
    this.#state = options.state;
    const port = {
      find: (switchId: string, portKey: string) => this.#port(switchId, portKey),
      member: (host: string) => this.#member(host),
      state: options.state,
    };
    this.facets = { gate: gateFacet(port), securityPolicy: effectiveSettingFacet(port) };
  }

  /** Begins to look after the hosts. */
  start(): void {
    this.onChange();
  }

  /** For the desired state: something in it changed. */
  onChange(): void {
    if (this.#closed) return;
    const wanted = new Set(this.#state.hosts.keys());
    for (const { spec } of this.#state.switches.values()) for (const { host } of spec.members) wanted.add(host);
    for (const host of wanted) this.#member(host);
    for (const [host, member] of this.#members) {
      member.wake();
      if (wanted.has(host)) continue;
      this.#members.delete(host);
      void member.close();
    }
    this.#notify();
  }

  /** Stops looking after the hosts. Their processes go on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#notify();
    await Promise.all([...this.#members.values()].map((member) => member.close()));
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    return describeSwitch({ underlayMtu: this.#options.underlayMtu });
  }

  async validateSwitch(
    { spec }: { readonly spec: SwitchSpec },
    _context: OperationContext,
  ): Promise<readonly SpecProblem[]> {
    return validateSwitch(spec, this.#options);
  }

  async applySwitch(
    { spec, generation }: { readonly spec: SwitchSpec; readonly generation: number },
    _context: OperationContext,
  ): Promise<{ readonly generation: number }> {
    const problems = validateSwitch(spec, this.#options);
    if (problems.length > 0) throw invalid(`switch '${spec.switchId}'`, problems);
    return this.#state.change(() => {
      const known = this.#state.switches.get(spec.switchId);
      if (known !== undefined && generation < known.generation) {
        throw new VdcError(
          "ABORTED",
          `switch '${spec.switchId}' has generation ${known.generation} already, and ${generation} is older`,
          { reason: "VDC_STALE_GENERATION", retryable: false },
        );
      }
      if (known !== undefined && generation === known.generation) {
        if (isDeepStrictEqual(known.spec, spec)) return { writes: [], result: { generation } };
        throw new VdcError(
          "ABORTED",
          `generation ${generation} of switch '${spec.switchId}' is taken by another spec: use a higher one`,
          { reason: "VDC_GENERATION_TAKEN", retryable: false },
        );
      }
      const vniBase = known?.vniBase ?? this.#freeVniBase();
      const value: SwitchRecord = { spec, generation, vniBase };
      return { writes: [{ kind: "switch", id: spec.switchId, value }], result: { generation } };
    });
  }

  async removeSwitch({ switchId }: { readonly switchId: string }, _context: OperationContext): Promise<void> {
    await this.#state.change(() => {
      if (!this.#state.switches.has(switchId)) return { writes: [], result: undefined };
      const ports = this.#state.portsOf(switchId);
      const connected = ports.filter((port) => port.connected);
      if (connected.length > 0) {
        throw new VdcError("FAILED_PRECONDITION", `switch '${switchId}' has ${connected.length} connected ports`, {
          reason: "VDC_PORTS_CONNECTED",
          blockers: connected.slice(0, 20).map(({ portKey }) => ({ kind: "port", name: portKey })),
        });
      }
      // The switch last: while it is there, the rest is found again.
      const writes: Write[] = ports.map(({ portKey }) => ({ kind: "port", switchId, portKey, value: undefined }));
      return { writes: [...writes, { kind: "switch", id: switchId, value: undefined }], result: undefined };
    });
  }

  async listSwitches(
    { limit, pageToken, ownerDatacenter }: PageRequest & { readonly ownerDatacenter?: string },
    _context: OperationContext,
  ): Promise<Page<SwitchSpec>> {
    const after = pageToken === undefined ? "" : readPageToken(pageToken);
    const specs = [...this.#state.switches.values()]
      .map(({ spec }) => spec)
      .filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter)
      .filter(({ switchId }) => switchId > after)
      .sort((a, b) => (a.switchId < b.switchId ? -1 : 1));
    const items = specs.slice(0, limit ?? defaultPage);
    const last = items.at(-1);
    if (last === undefined || items.length === specs.length) return { items };
    return { items, nextPageToken: Buffer.from(`after:${last.switchId}`).toString("base64url") };
  }

  async connectPort(input: ConnectPort, _context: OperationContext): Promise<PortBinding> {
    const { switchId, portKey, host, generation } = input;
    if (input.setting !== undefined) {
      const problems = validateSetting(input.setting, "setting");
      if (problems.length > 0) throw invalid(`port '${portKey}'`, problems);
    }
    const before = this.#admit(input);
    if (before?.connected === true && before.generation < generation) {
      await this.#cut(switchId, [portKey], { upTo: generation - 1, lowest: generation });
      await this.#confirmCut(switchId, portKey);
    }
    const member = this.#member(host);
    // Nothing is kept of an owner whose host can't be reached: it will be asked for again.
    await member.converge();
    await this.#state.change(() => this.#attach(input));
    await member.converge();
    const record = this.#port(switchId, portKey);
    if (!record.connected || record.generation !== generation) throw fencedError(record, generation);
    return {
      switchId,
      portKey,
      host,
      generation,
      attachment: { kind: "qemu-stream", path: record.path },
      fencing: fencingOf(settingOf(this.#switch(switchId).spec, record)),
    };
  }

  async disconnectPort(
    { switchId, portKey, generation }: { switchId: string; portKey: string; generation: Generation },
    _context: OperationContext,
  ): Promise<void> {
    const record = this.#state.port(switchId, portKey);
    if (record?.connected !== true || record.generation !== generation) return;
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: 0 });
    // A host that can't be reached now lets go of the port when it returns.
    await this.#member(record.host)
      .converge()
      .catch(() => undefined);
  }

  async revokePort(
    { switchId, portKey, generation }: { switchId: string; portKey: string; generation: Generation },
    _context: OperationContext,
  ): Promise<void> {
    this.#port(switchId, portKey);
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: generation + 1 });
    await this.#confirmCut(switchId, portKey);
  }

  async switchStatus({ switchId }: { readonly switchId: string }, _context: OperationContext): Promise<SwitchStatus> {
    return this.#status(switchId);
  }

  async *watchSwitch(
    { switchId }: { readonly switchId: string },
    { signal }: OperationContext,
  ): AsyncIterable<WatchItem<SwitchStatus>> {
    let told: SwitchStatus | undefined = this.#status(switchId);
    let last = told;
    yield { type: "added", object: told };
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        const done = (): void => {
          this.#watchers.delete(done);
          signal.removeEventListener("abort", done);
          resolve();
        };
        this.#watchers.add(done);
        signal.addEventListener("abort", done);
      });
      const now = this.#state.switches.has(switchId) ? this.#status(switchId) : undefined;
      if (!isDeepStrictEqual(now, told)) {
        const type = now === undefined ? "deleted" : told === undefined ? "added" : "modified";
        told = now;
        last = now ?? last;
        yield { type, object: last };
        continue;
      }
      if (signal.aborted || this.#closed) return;
      await changed;
      if (signal.aborted || this.#closed) return;
    }
  }

  async portStatistics(
    { switchId, portKeys }: { readonly switchId: string; readonly portKeys?: readonly string[] },
    _context: OperationContext,
  ): Promise<readonly PortStatistics[]> {
    this.#switch(switchId);
    const wanted = portKeys === undefined ? undefined : new Set(portKeys);
    const records = (): readonly PortRecord[] =>
      this.#state.portsOf(switchId).filter(({ portKey }) => wanted?.has(portKey) ?? true);
    const hosts = new Set(records().flatMap((each) => [each.host, ...each.cuts.map(({ host }) => host)]));
    const reached = new Set<string>();
    await Promise.all(
      [...hosts].map(async (host) => {
        try {
          const told = await this.#member(host).request("portStatistics", {});
          for (const each of told as unknown as AttachmentCounters[])
            this.#seen.set(attachmentKey(each), each.counters);
          reached.add(host);
        } catch {
          // What was seen of it before is told.
        }
      }),
    );
    // Read after the counters: what moved in between from a host into the record is then counted once, and not missed.
    const { spec } = this.#switch(switchId);
    return records().flatMap((record) => {
      const group = spec.portGroups.find(({ key }) => key === record.portGroup);
      if (!record.connected && group?.binding !== "static") return [];
      const id = portId(switchId, record.portKey);
      let total = record.carried;
      const parts = record.cuts.map(({ attachment, host }) => ({ attachment, host }));
      if (record.connected) parts.push({ attachment: record.attachment, host: record.host });
      for (const { attachment, host } of parts) {
        const seen = this.#seen.get(attachmentKey({ id, attachment }));
        // Better nothing than less than what was told before.
        if (seen === undefined && !reached.has(host)) return [];
        total = addCounters(total, seen ?? noCounters);
      }
      return [{ portKey: record.portKey, ...checked(total) }];
    });
  }

  async collectGarbage(
    { switchId, known }: { readonly switchId: string; readonly known: readonly string[] },
    _context: OperationContext,
  ): Promise<readonly string[]> {
    this.#switch(switchId);
    const keep = new Set(known);
    const gone = this.#state.portsOf(switchId).filter(({ portKey, connected }) => connected && !keep.has(portKey));
    const keys = gone.map(({ portKey }) => portKey);
    await this.#cut(switchId, keys, { upTo: Number.POSITIVE_INFINITY, lowest: 0 });
    const hosts = new Set(gone.map(({ host }) => host));
    await Promise.allSettled([...hosts].map((host) => this.#member(host).converge()));
    return gone.map(({ portKey }) => portKey).sort();
  }

  /** Says no to what can't be connected. Returns what is there. */
  #admit(input: ConnectPort): PortRecord | undefined {
    const { switchId, portKey, portGroup, host, generation } = input;
    const { spec } = this.#switch(switchId);
    if (!spec.portGroups.some(({ key }) => key === portGroup)) {
      throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port group '${portGroup}'`);
    }
    if (!spec.members.some((member) => member.host === host)) {
      throw new VdcError("FAILED_PRECONDITION", `host '${host}' is not a member of switch '${switchId}'`, {
        reason: "VDC_NOT_A_MEMBER",
      });
    }
    const record = this.#state.port(switchId, portKey);
    if (record === undefined) return undefined;
    if (generation < record.lowest) throw fencedError(record, generation);
    if (!record.connected || record.generation !== generation) return record;
    const { mac } = input;
    if (record.host === host && record.mac === mac && record.portGroup === portGroup) return record;
    throw new VdcError(
      "ALREADY_EXISTS",
      `port '${portKey}' is connected by generation ${generation} to '${record.portGroup}' on host '${record.host}' with address ${record.mac}`,
      { reason: "VDC_PORT_CONNECTED" },
    );
  }

  #attach(input: ConnectPort): { writes: readonly Write[]; result: undefined } {
    const { switchId, portKey, portGroup, host, mac, generation, owner, setting } = input;
    const before = this.#admit(input);
    if (before?.connected === true && before.generation !== generation) {
      throw new VdcError("UNAVAILABLE", `port '${portKey}' was connected by generation ${before.generation} just now`);
    }
    if (before?.connected === true && isDeepStrictEqual(before.setting, setting))
      return { writes: [], result: undefined };
    const attachment = before?.connected === true ? before.attachment : (before?.attachment ?? 0) + 1;
    const value: PortRecord = {
      switchId,
      portKey,
      portGroup,
      host,
      mac,
      generation,
      lowest: Math.max(before?.lowest ?? 0, generation),
      attachment,
      connected: true,
      gate: before?.connected === true ? before.gate : (input.gate ?? "open"),
      path: before?.connected === true ? before.path : this.#socketPath(host, portId(switchId, portKey), attachment),
      carried: before?.carried ?? noCounters,
      cuts: before?.cuts ?? [],
      ...(owner === undefined ? {} : { owner }),
      ...(setting === undefined ? {} : { setting }),
    };
    return { writes: [{ kind: "port", switchId, portKey, value }], result: undefined };
  }

  #socketPath(host: string, id: string, attachment: number): string {
    const record = this.#state.hosts.get(host);
    if (record === undefined) throw hostFailure(host, new Error("its folder is not known"));
    const path = join(record.directory, "run", `${id}.${attachment}`);
    if (Buffer.byteLength(path) <= longestSocketPath) return path;
    throw new VdcError(
      "FAILED_PRECONDITION",
      `the folder of host '${host}' is too long: the socket '${path}' would have more than ${longestSocketPath} bytes`,
      { reason: "VDC_SOCKET_PATH_TOO_LONG" },
    );
  }

  /** Ends the connections of owners up to a generation, and refuses generations below `lowest` from now on. */
  async #cut(
    switchId: string,
    portKeys: readonly string[],
    { upTo, lowest }: { readonly upTo: number; readonly lowest: number },
  ): Promise<void> {
    await this.#state.change(() => {
      const writes = portKeys.flatMap((portKey): Write[] => {
        const record = this.#state.port(switchId, portKey);
        if (record === undefined) return [];
        const ends = record.connected && record.generation <= upTo;
        if (!ends && record.lowest >= lowest) return [];
        const { host, attachment, generation, mac } = record;
        const value: PortRecord = {
          ...record,
          lowest: Math.max(record.lowest, lowest),
          connected: record.connected && !ends,
          cuts: ends ? [...record.cuts, { host, attachment, generation, mac }] : record.cuts,
        };
        return [{ kind: "port", switchId, portKey, value }];
      });
      return { writes, result: undefined };
    });
  }

  /**
   * Resolves when earlier owners of a port reach nobody: their hosts have let go of the port, or every other host that can be reached
   * refuses frames from its address from them. Where a port may use other addresses that is no fence, and only the first counts.
   */
  async #confirmCut(switchId: string, portKey: string): Promise<void> {
    const pending = (): readonly string[] => [
      ...new Set(this.#state.port(switchId, portKey)?.cuts.map(({ host }) => host)),
    ];
    await Promise.allSettled(pending().map((host) => this.#member(host).converge()));
    const hosts = pending();
    if (hosts.length === 0) return;
    const { spec } = this.#switch(switchId);
    const others = spec.members.filter(({ host }) => !hosts.includes(host));
    await Promise.allSettled(others.map(({ host }) => this.#member(host).converge()));
    if (fencingOf(settingOf(spec, this.#port(switchId, portKey))) === "enforced") return;
    throw new VdcError(
      "UNAVAILABLE",
      `port '${portKey}' may still be served by host '${hosts.join("', '")}', which can't be reached; since it may use other addresses than its own, the other hosts can't tell its frames. The revocation is kept`,
      { reason: "VDC_REVOKE_UNCONFIRMED" },
    );
  }

  #status(switchId: string): SwitchStatus {
    return statusOf(this.#state, this.#switch(switchId), (host) => this.#members.get(host)?.view ?? unknownMember);
  }

  #switch(switchId: string): SwitchRecord {
    const record = this.#state.switches.get(switchId);
    if (record === undefined) throw switchNotFound(switchId);
    return record;
  }

  #port(switchId: string, portKey: string): PortRecord {
    this.#switch(switchId);
    const record = this.#state.port(switchId, portKey);
    if (record === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
    return record;
  }

  #member(host: string): HostMember {
    let member = this.#members.get(host);
    if (member === undefined) {
      member = new HostMember(host, this.#options);
      this.#members.set(host, member);
      if (!this.#closed) member.start();
    }
    return member;
  }

  #freeVniBase(): number {
    const taken = new Set([...this.#state.switches.values()].map(({ vniBase }) => vniBase));
    for (let base = VNIS_PER_SWITCH; base <= MAX_VNI_BASE; base += VNIS_PER_SWITCH) if (!taken.has(base)) return base;
    throw new VdcError("RESOURCE_EXHAUSTED", "all tunnel identifiers are taken: remove a switch", { retryable: false });
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

function checked(counters: PortCounters): PortCounters {
  for (const each of [counters.framesIn, counters.bytesIn, counters.framesOut, counters.bytesOut])
    encodeCounter(BigInt(each));
  return counters;
}

function readPageToken(token: string): string {
  const text = Buffer.from(token, "base64url").toString();
  if (text.startsWith("after:")) return text.slice("after:".length);
  throw new VdcError("ABORTED", "the page token is not one of this provider's: begin again", {
    reason: "VDC_PAGE_TOKEN_UNKNOWN",
  });
}

function invalid(what: string, problems: readonly SpecProblem[]): VdcError {
  return new VdcError(
    "INVALID_ARGUMENT",
    `${what} is refused: ${problems.map(({ path, message }) => `${path}: ${message}`).join("; ")}`,
    { reason: "VDC_SPEC_REFUSED", details: { problems: problems.map(({ path, message }) => ({ path, message })) } },
  );
}
