import { isDeepStrictEqual } from "node:util";
import { type Generation, VdcError } from "@vdc-os/core";
import type { ConnectPort } from "@vdc-os/core/network/v1";
import { type KeptSwitch, noCounters, type PortRecord } from "./records.ts";

/** The failure of an owner that is no longer one. */
export function fencedError(record: PortRecord, generation: number): VdcError {
  const highest = Math.max(record.lowest, record.generation);
  return new VdcError(
    "FAILED_PRECONDITION",
    `port '${record.portKey}' of switch '${record.switchId}' has seen generation ${highest}, and the call is of ${generation}`,
    { reason: "VDC_FENCED", details: { generation: record.generation, lowest: record.lowest } },
  );
}

/** The failure of a host that is not a member. */
export function notAMember(switchId: string, host: string): VdcError {
  return new VdcError("FAILED_PRECONDITION", `host '${host}' is not a member of switch '${switchId}'`, {
    reason: "VDC_NOT_A_MEMBER",
  });
}

/** The port as the input wants it; undefined where it is so. Says no to what can't be connected. */
export function connected(kept: KeptSwitch, input: ConnectPort): PortRecord | undefined {
  const { switchId, portKey, portGroup, host, mac, generation, owner, setting, opaque } = input;
  const { spec } = kept.record;
  const group = spec.portGroups.find(({ key }) => key === portGroup);
  if (group === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port group '${portGroup}'`);
  if (!spec.members.some((member) => member.host === host)) throw notAMember(switchId, host);
  const { maxPorts } = group;
  if (maxPorts !== undefined) mayHaveMore(kept, input, maxPorts);
  const before = kept.ports.get(portKey);
  if (before !== undefined && generation < before.lowest) throw fencedError(before, generation);
  const addresses = input.addresses ?? [];
  const isSame = before?.connected === true && before.generation === generation;
  if (before !== undefined && isSame) {
    if (before.host !== host || before.mac !== mac || before.portGroup !== portGroup) {
      throw new VdcError(
        "ALREADY_EXISTS",
        `port '${portKey}' is connected by generation ${generation} to '${before.portGroup}' on host '${before.host}' with address ${before.mac}`,
        { reason: "VDC_PORT_CONNECTED" },
      );
    }
    if (isDeepStrictEqual([before.setting, before.addresses], [setting, addresses])) return undefined;
    return { ...withoutSetting(before), addresses, ...(setting === undefined ? {} : { setting }) };
  }
  return {
    switchId,
    portKey,
    number: before?.number ?? freeNumber([...kept.ports.values()]),
    portGroup,
    host,
    mac,
    addresses,
    generation,
    lowest: Math.max(before?.lowest ?? 0, generation),
    attachment: (before?.attachment ?? 0) + 1,
    connected: true,
    gate: input.gate ?? "open",
    carried: before?.carried ?? noCounters,
    ...(owner === undefined ? {} : { owner }),
    ...(setting === undefined ? {} : { setting }),
    ...(opaque === undefined ? {} : { opaque }),
  };
}

/** The port without owners up to a generation, which refuses those below `lowest` from now on; undefined where it is so. */
export function cut(port: PortRecord, upTo: Generation, lowest: number): PortRecord | undefined {
  const ends = port.connected && port.generation <= upTo;
  if (!ends && port.lowest >= lowest) return undefined;
  const { move } = port;
  return {
    ...port,
    lowest: Math.max(port.lowest, lowest),
    connected: port.connected && !ends,
    ...(move?.state === "prepared" ? { move: { ...move, state: "aborted" as const } } : {}),
  };
}

/** The lowest number from 1 that none of these has. */
export function freeNumber(taken: readonly { readonly number: number }[]): number {
  const numbers = new Set(taken.map(({ number }) => number));
  let free = 1;
  while (numbers.has(free)) free += 1;
  return free;
}

function withoutSetting({ setting: _setting, ...rest }: PortRecord): PortRecord {
  return rest;
}

function mayHaveMore(kept: KeptSwitch, { portGroup, portKey }: ConnectPort, maxPorts: number): void {
  let count = 0;
  for (const port of kept.ports.values()) {
    if (port.connected && port.portGroup === portGroup && port.portKey !== portKey) count += 1;
  }
  if (count < maxPorts) return;
  throw new VdcError("RESOURCE_EXHAUSTED", `port group '${portGroup}' may have ${maxPorts} ports, and has them`, {
    reason: "VDC_PORT_GROUP_FULL",
  });
}
