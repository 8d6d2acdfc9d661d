import { isDeepStrictEqual } from "node:util";
import type { Generation } from "../../../contract/ownership.ts";
import { VdcError } from "../../../error/vdc-error.ts";
import { refusedSpec } from "../config-archive-control.ts";
import type { ConnectPort } from "../port.ts";
import type { PortSetting } from "../port-setting.ts";
import { addressProblems } from "../spec-problems.ts";
import type { SpecProblem, SwitchSpec } from "../switch-spec.ts";
import type { MovablePortRecord, PortRecord } from "./port-record.ts";

/** A switch's spec and ports, as decisions on its ports need them. */
export interface PortsOfSwitch<P extends PortRecord> {
  readonly spec: SwitchSpec;
  readonly ports: ReadonlyMap<string, P>;
}

/** The failure of a call on a switch that is not there. */
export function switchNotFound(switchId: string): VdcError {
  return new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
}

/** The failure of a call on a port that was never connected. */
export function portNotFound(switchId: string, portKey: string): VdcError {
  return new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
}

/** The failure of an owner that is no longer one. */
export function fencedError({ switchId, portKey, generation: last, lowest }: PortRecord, generation: number): VdcError {
  return new VdcError(
    "FAILED_PRECONDITION",
    `port '${portKey}' of switch '${switchId}' has seen generation ${Math.max(lowest, last)}, and the call is of ${generation}`,
    { reason: "VDC_FENCED", details: { generation: last, lowest } },
  );
}

/** Fails unless the host is a member of the switch. */
export function mustBeMember({ switchId, members }: SwitchSpec, host: string): void {
  if (members.some((member) => member.host === host)) return;
  throw new VdcError("FAILED_PRECONDITION", `host '${host}' is not a member of switch '${switchId}'`, {
    reason: "VDC_NOT_A_MEMBER",
  });
}

/** Fails while ports of the switch are connected: it can't be removed then. */
export function mustHaveNoOwners(switchId: string, ports: Iterable<PortRecord>): void {
  const connected = [...ports].filter((port) => port.connected);
  if (connected.length === 0) return;
  throw new VdcError("FAILED_PRECONDITION", `switch '${switchId}' has ${connected.length} connected ports`, {
    reason: "VDC_PORTS_CONNECTED",
    blockers: connected.slice(0, 20).map(({ portKey }) => ({ kind: "port", name: portKey })),
  });
}

/** Fails unless the input's addresses and setting are good. */
export function mustBeGoodPort(
  { portKey, addresses, setting }: ConnectPort,
  validateSetting: (setting: PortSetting, path: string) => readonly SpecProblem[],
): void {
  const problems = [
    ...addressProblems(addresses),
    ...(setting === undefined ? [] : validateSetting(setting, "setting")),
  ];
  if (problems.length > 0) throw refusedSpec(`port '${portKey}'`, problems);
}

/** Says no to what can't be connected: whatever every provider must refuse. Returns the port as it is kept. */
export function admitPort<P extends PortRecord>({ spec, ports }: PortsOfSwitch<P>, input: ConnectPort): P | undefined {
  const { switchId, portKey, portGroup, host, mac, generation } = input;
  const group = spec.portGroups.find(({ key }) => key === portGroup);
  if (group === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port group '${portGroup}'`);
  mustBeMember(spec, host);
  if (group.maxPorts !== undefined) mustHaveRoom(ports, input, group.maxPorts);
  const before = ports.get(portKey);
  if (before === undefined) return undefined;
  if (generation < before.lowest) throw fencedError(before, generation);
  if (!before.connected || before.generation !== generation) return before;
  if (before.host === host && before.mac === mac && before.portGroup === portGroup) return before;
  throw new VdcError(
    "ALREADY_EXISTS",
    `port '${portKey}' is connected by generation ${generation} to '${before.portGroup}' on host '${before.host}' with address ${before.mac}`,
    { reason: "VDC_PORT_CONNECTED" },
  );
}

/**
 * The port as the input wants it, or undefined where it is so. An owner that connects again changes its addresses and its setting, and keeps all else; a new
 * one gets a new attachment. `own` is what the provider keeps besides, that is the port's and not its owner's.
 */
export function connectedPort<P extends MovablePortRecord>(
  kept: PortsOfSwitch<P>,
  input: ConnectPort,
  own: (before: P | undefined) => Omit<P, keyof MovablePortRecord> & Pick<P, "carried">,
): P | undefined {
  const { switchId, portKey, portGroup, host, mac, generation, owner, setting, opaque, addresses = [] } = input;
  const before = admitPort(kept, input);
  if (before?.connected === true && before.generation === generation) {
    if (isDeepStrictEqual([before.setting, before.addresses], [setting, addresses])) return undefined;
    const { setting: _, ...rest } = before;
    return { ...rest, addresses, ...(setting === undefined ? {} : { setting }) } as P;
  }
  const record: Omit<MovablePortRecord, "carried"> = {
    switchId,
    portKey,
    portGroup,
    host,
    mac,
    addresses,
    generation,
    lowest: Math.max(before?.lowest ?? 0, generation),
    attachment: (before?.attachment ?? 0) + 1,
    connected: true,
    gate: input.gate ?? "open",
    ...(owner === undefined ? {} : { owner }),
    ...(setting === undefined ? {} : { setting }),
    ...(opaque === undefined ? {} : { opaque }),
  };
  return { ...record, ...own(before) } as P;
}

/** The port without owners up to a generation, which refuses those below `lowest` from now on; undefined where it is so. */
export function cutPort<P extends MovablePortRecord>(port: P, upTo: Generation, lowest: number): P | undefined {
  const ends = port.connected && port.generation <= upTo;
  if (!ends && port.lowest >= lowest) return undefined;
  const { move } = port;
  return {
    ...port,
    lowest: Math.max(port.lowest, lowest),
    connected: port.connected && !ends,
    // Whoever ends the owner, or keeps the next one out, ends its move.
    ...(move?.state === "prepared" ? { move: { ...move, state: "aborted" as const } } : {}),
  };
}

/** Fails unless the port can begin to move to the host for an owner of this generation. */
export function mustBeMovable(
  spec: SwitchSpec,
  port: PortRecord,
  { targetHost, generation }: { readonly targetHost: string; readonly generation: Generation },
): void {
  const { portKey } = port;
  if (!port.connected) {
    throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' is not connected, so there is nothing to move`, {
      reason: "VDC_NOT_CONNECTED",
    });
  }
  if (generation <= port.generation || generation < port.lowest) throw fencedError(port, generation);
  if (targetHost === port.host) {
    throw new VdcError(
      "FAILED_PRECONDITION",
      `port '${portKey}' is on host '${targetHost}' already: a port moves to another host, and a new owner on this one connects it`,
    );
  }
  mustBeMember(spec, targetHost);
}

/** The failure of a port that moves elsewhere already. */
export function movingError(portKey: string, targetHost: string): VdcError {
  return new VdcError("FAILED_PRECONDITION", `port '${portKey}' is moving to host '${targetHost}' already`, {
    reason: "VDC_PORT_MOVING",
  });
}

/** Fails unless the port's last move is in one of these states. */
export function mustBeMoving<State extends string>(
  { portKey, move }: { readonly portKey: string; readonly move?: { readonly state: State } | undefined },
  states: readonly State[],
): void {
  if (move !== undefined && states.includes(move.state)) return;
  throw new VdcError("FAILED_PRECONDITION", `the move of port '${portKey}' is ${move?.state}`, {
    reason: "VDC_MOVE_STATE",
  });
}

function mustHaveRoom(
  ports: ReadonlyMap<string, PortRecord>,
  { portGroup, portKey }: ConnectPort,
  maxPorts: number,
): void {
  let count = 0;
  for (const port of ports.values()) {
    if (port.connected && port.portGroup === portGroup && port.portKey !== portKey) count += 1;
  }
  if (count < maxPorts) return;
  throw new VdcError("RESOURCE_EXHAUSTED", `port group '${portGroup}' may have ${maxPorts} ports, and has them`, {
    reason: "VDC_PORT_GROUP_FULL",
  });
}
