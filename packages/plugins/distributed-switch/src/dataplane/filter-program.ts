import type { EventLog } from "./event-log.ts";
import type { FilterAction, FilterMatch, FilterRule } from "./filter-rule.ts";
import type { FrameInFlight } from "./frame-in-flight.ts";
import { setDscp, setPriority } from "./frame-rewrite.ts";
import { type IpPrefix, inPrefix, parsePrefix } from "./ip-prefix.ts";
import { macHigh, macLow, macOf, parseMac } from "./mac-address.ts";
import { PacketFields } from "./packet-fields.ts";
import { TokenBucket } from "./token-bucket.ts";

/** What the rules of one direction of a port act on besides the frame. */
export interface FilterSurroundings {
  readonly portKey: string;
  readonly log: EventLog;
  /** Copies the frame to a session, if there is one of this name. */
  readonly mirror: (session: string, frame: FrameInFlight, direction: "in" | "out") => void;
}

/** How often a rule matched. */
export interface FilterRuleStatistics {
  readonly rule: string;
  readonly direction: "in" | "out";
  readonly matched: number;
}

type Condition = (frame: FrameInFlight, fields: PacketFields) => boolean;

interface CompiledRule {
  readonly name: string;
  readonly conditions: readonly Condition[];
  readonly action: FilterAction;
  readonly bucket: TokenBucket | undefined;
  matched: number;
}

/** Fields are read for one frame at a time, so all programs share them. */
const fields = new PacketFields();

/** The filter rules of one direction of a port, compiled: each rule is a list of conditions, only those that it states. */
export class FilterProgram {
  readonly #rules: readonly CompiledRule[];
  readonly #direction: "in" | "out";
  readonly #surroundings: FilterSurroundings;

  private constructor(rules: readonly CompiledRule[], direction: "in" | "out", surroundings: FilterSurroundings) {
    this.#rules = rules;
    this.#direction = direction;
    this.#surroundings = surroundings;
  }

  /** Undefined when no rule is about this direction. Throws a `RangeError` for a rule that can't be read. */
  static compile(
    rules: readonly FilterRule[],
    direction: "in" | "out",
    surroundings: FilterSurroundings,
  ): FilterProgram | undefined {
    const compiled = rules
      .filter((rule) => rule.direction === direction || rule.direction === "both")
      .map(({ name, match, action }) => ({
        name,
        conditions: conditionsOf(name, match),
        action,
        bucket: action.kind === "rateLimit" ? rateBucket(action.packetsPerSecond) : undefined,
        matched: 0,
      }));
    return compiled.length === 0 ? undefined : new FilterProgram(compiled, direction, surroundings);
  }

  /** Runs the rules on a frame, which may get other bytes. Returns why it is dropped. */
  run(frame: FrameInFlight, now: number): "filtered" | "rateLimited" | undefined {
    fields.read(frame);
    for (const rule of this.#rules) {
      if (!matches(rule, frame)) continue;
      if (frame.trace === undefined) rule.matched += 1;
      else frame.trace.push({ stage: "policy", text: `rule '${rule.name}' matches: ${rule.action.kind}` });
      switch (rule.action.kind) {
        case "accept":
          return undefined;
        case "drop":
          return "filtered";
        case "rateLimit":
          if (rule.bucket?.allows(1, now) === false) return "rateLimited";
          if (frame.trace === undefined) rule.bucket?.take(1);
          break;
        default:
          this.#work(rule.action, rule.name, frame, now);
      }
    }
    return undefined;
  }

  statistics(): FilterRuleStatistics[] {
    return this.#rules.map(({ name, matched }) => ({ rule: name, direction: this.#direction, matched }));
  }

  /** The levels of the rate limits, in the order of the rules that have one. */
  get levels(): readonly number[] {
    return this.#rules.flatMap(({ bucket }) => (bucket === undefined ? [] : [bucket.level]));
  }

  set levels(levels: readonly number[]) {
    const buckets = this.#rules.flatMap(({ bucket }) => bucket ?? []);
    for (const [index, bucket] of buckets.entries()) bucket.level = levels[index] ?? bucket.depth;
  }

  /** Actions that don't decide. */
  #work(action: FilterAction, rule: string, frame: FrameInFlight, now: number): void {
    const { portKey, log, mirror } = this.#surroundings;
    if (action.kind === "tag") {
      if (action.dscp !== undefined) setDscp(frame, fields, action.dscp);
      if (action.priority !== undefined) setPriority(frame, action.priority);
      // The bytes may have moved.
      fields.read(frame);
    } else if (frame.trace !== undefined) return;
    else if (action.kind === "mirror") mirror(action.session, frame, this.#direction);
    else {
      const { fromHigh, fromLow, toHigh, toLow, vlan } = frame;
      const { etherType } = fields;
      const source = macOf(fromHigh, fromLow);
      const destination = macOf(toHigh, toLow);
      log.record({ portKey, rule, direction: this.#direction, source, destination, vlan, etherType }, now);
    }
  }
}

function matches(rule: CompiledRule, frame: FrameInFlight): boolean {
  for (const condition of rule.conditions) if (!condition(frame, fields)) return false;
  return true;
}

/** A bucket for packets: what 100 ms are may pass at once, and at least one. */
function rateBucket(packetsPerSecond: number): TokenBucket {
  return new TokenBucket(packetsPerSecond, Math.max(1, packetsPerSecond / 10));
}

/** Cheap conditions first. */
function conditionsOf(rule: string, match: FilterMatch): Condition[] {
  const { vlan, etherType, protocol, sourcePorts, destinationPorts } = match;
  const conditions: Condition[] = [];
  if (vlan !== undefined) conditions.push((frame) => frame.vlan === vlan);
  if (etherType !== undefined) conditions.push((_, { etherType: type }) => type === etherType);
  if (match.sourceMac !== undefined) {
    const [high, low] = macHalves(rule, match.sourceMac);
    conditions.push((frame) => frame.fromLow === low && frame.fromHigh === high);
  }
  if (match.destinationMac !== undefined) {
    const [high, low] = macHalves(rule, match.destinationMac);
    conditions.push((frame) => frame.toLow === low && frame.toHigh === high);
  }
  if (protocol !== undefined) conditions.push((_, packet) => packet.protocol === protocol);
  if (match.sourcePrefix !== undefined) {
    const prefix = readPrefix(rule, match.sourcePrefix);
    conditions.push((_, packet) => packet.version === prefix.version && inPrefix(prefix, packet.source));
  }
  if (match.destinationPrefix !== undefined) {
    const prefix = readPrefix(rule, match.destinationPrefix);
    conditions.push((_, packet) => packet.version === prefix.version && inPrefix(prefix, packet.destination));
  }
  // A port that isn't there is -1, which no range holds.
  if (sourcePorts !== undefined) {
    const { from, to } = sourcePorts;
    conditions.push((_, { sourcePort }) => sourcePort >= Math.max(0, from) && sourcePort <= to);
  }
  if (destinationPorts !== undefined) {
    const { from, to } = destinationPorts;
    conditions.push((_, { destinationPort }) => destinationPort >= Math.max(0, from) && destinationPort <= to);
  }
  return conditions;
}

function macHalves(rule: string, text: string): readonly [number, number] {
  const mac = parseMac(text);
  if (mac === undefined) throw new RangeError(`rule '${rule}': '${text}' is no MAC address`);
  return [macHigh(mac), macLow(mac)];
}

function readPrefix(rule: string, text: string): IpPrefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new RangeError(`rule '${rule}': '${text}' is no IP prefix`);
  return prefix;
}
