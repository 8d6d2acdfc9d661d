import type { FilterProgram } from "./filter-program.ts";
import type { FlowTable } from "./flow-table.ts";
import type { FrameInFlight } from "./frame-in-flight.ts";
import type { MirrorPoint } from "./mirror-session.ts";
import type { PortShaper } from "./port-shaper.ts";

/** What is done with the frames of one direction of a port besides switching them. */
export interface PolicyParts {
  readonly mirrors: readonly MirrorPoint[];
  readonly filter: FilterProgram | undefined;
  readonly shaper: PortShaper | undefined;
  readonly flows: FlowTable | undefined;
}

/** Why a policy drops a frame. */
export type PolicyDrop = "filtered" | "rateLimited" | "shaped";

/** What a VM's frames pass after admission: mirror sessions, filter rules, shaping, flow accounting. */
export class IngressPolicy {
  readonly parts: PolicyParts;
  readonly #portKey: string;

  constructor(portKey: string, parts: PolicyParts) {
    this.parts = parts;
    this.#portKey = portKey;
  }

  apply(frame: FrameInFlight, now: number): PolicyDrop | undefined {
    const { mirrors, filter, shaper, flows } = this.parts;
    if (frame.trace === undefined) for (const mirror of mirrors) mirror.copy(frame, "in");
    else traceMirrors(mirrors, frame);
    const filtered = filter?.run(frame, now);
    if (filtered !== undefined) return filtered;
    if (shaper !== undefined && !pass(shaper, frame, now)) return "shaped";
    if (frame.trace === undefined) flows?.observe(frame, this.#portKey, "in", now);
    return undefined;
  }
}

/** What the frames to a VM pass: filter rules and shaping before they are delivered; mirror sessions and flow accounting of those that were. */
export class EgressPolicy {
  readonly parts: PolicyParts;
  readonly #portKey: string;

  constructor(portKey: string, parts: PolicyParts) {
    this.parts = parts;
    this.#portKey = portKey;
  }

  beforeDelivery(frame: FrameInFlight, now: number): PolicyDrop | undefined {
    const { mirrors, filter, shaper } = this.parts;
    const filtered = filter?.run(frame, now);
    if (filtered !== undefined) return filtered;
    if (shaper !== undefined && !pass(shaper, frame, now)) return "shaped";
    if (frame.trace !== undefined) traceMirrors(mirrors, frame);
    return undefined;
  }

  afterDelivery(frame: FrameInFlight, now: number): void {
    const { mirrors, flows } = this.parts;
    for (const mirror of mirrors) mirror.copy(frame, "out");
    flows?.observe(frame, this.#portKey, "out", now);
  }
}

/** Undefined when there is nothing to do, so that the forwarding path asks one question only. */
export function hasWork({ mirrors, filter, shaper, flows }: PolicyParts): boolean {
  return mirrors.length > 0 || filter !== undefined || shaper !== undefined || flows !== undefined;
}

function pass(shaper: PortShaper, frame: FrameInFlight, now: number): boolean {
  const octets = frame.end - frame.start;
  if (!shaper.allows(octets, now)) return false;
  if (frame.trace === undefined) shaper.take(octets);
  return true;
}

function traceMirrors(mirrors: readonly MirrorPoint[], frame: FrameInFlight): void {
  for (const { session } of mirrors) {
    frame.trace?.push({ stage: "policy", text: `mirror session '${session.name}' selects it` });
  }
}
