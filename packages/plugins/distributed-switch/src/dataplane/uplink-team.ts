import type { FrameInFlight } from "./frame-in-flight.ts";
import { Place } from "./place.ts";
import type { SwitchPort } from "./switch-port.ts";

/** The order in which a port uses the host's uplinks. */
export interface TeamingSetting {
  /**
   * - `failoverOrder`: the first of the order that has a link.
   * - `originatingPort`: ports are spread over the active uplinks that have a link, each staying with one.
   * - `sourceMac`: source addresses are.
   */
  readonly policy: "failoverOrder" | "originatingPort" | "sourceMac";
  readonly active: readonly string[];
  /** Used, in this order, when no active uplink has a link. */
  readonly standby: readonly string[];
  /** Whether an uplink is used again as soon as its link is back, or only when the one in use fails. */
  readonly failback: boolean;
  /** Whether the physical switches are told by an announcement when the port takes another uplink. */
  readonly notifySwitches: boolean;
}

/** What a port uses now. */
export interface UplinkChoice {
  readonly bySource: boolean;
  /** The uplinks to choose from, all with a link; empty when there is none. */
  readonly candidates: readonly SwitchPort[];
  /** The one of those that takes the frames for groups in. */
  readonly designated: SwitchPort | undefined;
}

const NONE: UplinkChoice = { bySource: false, candidates: [], designated: undefined };

/**
 * The host's ways to the physical network, and which of them each port uses.
 *
 * A frame from an uplink goes to ports of this host alone, never to another uplink, so that two uplinks to one network are no loop. It goes
 * only to those ports that use this very uplink: the network delivers a group frame on each of them, and a port gets it once.
 */
export class UplinkTeam {
  /** Where addresses beyond the uplinks are: behind all of them alike. */
  readonly place: Place = new Place("uplinks", "uplinks");
  readonly #uplinks = new Map<string, SwitchPort>();
  readonly #choices = new Map<SwitchPort, UplinkChoice>();

  /** By their names, in the order in which they were added. */
  get uplinks(): ReadonlyMap<string, SwitchPort> {
    return this.#uplinks;
  }

  add(name: string, uplink: SwitchPort): void {
    this.#uplinks.set(name, uplink);
  }

  remove(name: string): void {
    this.#uplinks.delete(name);
  }

  /** Lets go of a port that is gone. */
  forget(port: SwitchPort): void {
    this.#choices.delete(port);
  }

  /** Chooses anew for a port, after its settings or a link have changed. True when it must be announced on another uplink. */
  choose(port: SwitchPort): boolean {
    const before = this.#choices.get(port);
    const setting = port.settings.teaming ?? this.#defaultSetting();
    const after = this.#decide(port, setting, before ?? NONE);
    this.#choices.set(port, after);
    if (before === undefined || !setting.notifySwitches || after.candidates.length === 0) return false;
    return (
      before.candidates.length !== after.candidates.length ||
      before.candidates.some((uplink, index) => uplink !== after.candidates[index])
    );
  }

  /** The uplink by which a frame of a local port leaves; undefined when none has a link. */
  uplinkFor(port: SwitchPort, frame: FrameInFlight): SwitchPort | undefined {
    const { bySource, candidates, designated } = this.choiceOf(port);
    return bySource ? candidates[macHash(frame.fromHigh, frame.fromLow) % candidates.length] : designated;
  }

  /** Whether a port takes a frame that came in by this uplink. */
  accepts(port: SwitchPort, uplink: SwitchPort, frame: FrameInFlight): boolean {
    const { bySource, candidates, designated } = this.choiceOf(port);
    if (!bySource || frame.group) return designated === uplink;
    return candidates[macHash(frame.toHigh, frame.toLow) % candidates.length] === uplink;
  }

  choiceOf(port: SwitchPort): UplinkChoice {
    return this.#choices.get(port) ?? NONE;
  }

  #decide(port: SwitchPort, setting: TeamingSetting, before: UplinkChoice): UplinkChoice {
    const { policy, active, standby, failback } = setting;
    const usable = (names: readonly string[]): SwitchPort[] =>
      names.flatMap((name) => {
        const uplink = this.#uplinks.get(name);
        return uplink?.linkUp === true ? [uplink] : [];
      });
    const bySource = policy === "sourceMac";
    const inOrder = [...usable(active), ...usable(standby)];
    const kept = before.candidates.filter((uplink) => inOrder.includes(uplink));
    let candidates: readonly SwitchPort[];
    if (!failback && kept.length > 0) candidates = kept;
    else if (policy === "failoverOrder") candidates = inOrder.slice(0, 1);
    else {
      const spread = usable(active);
      candidates = spread.length > 0 ? spread : inOrder.slice(0, 1);
    }
    const chosen = candidates[textHash(port.key) % candidates.length];
    // One that stays with one uplink has no others to choose from.
    return bySource || chosen === undefined
      ? { bySource, candidates, designated: chosen }
      : { bySource, candidates: [chosen], designated: chosen };
  }

  #defaultSetting(): TeamingSetting {
    return {
      policy: "failoverOrder",
      active: [...this.#uplinks.keys()],
      standby: [],
      failback: true,
      notifySwitches: true,
    };
  }
}

/** Spreads addresses evenly, the same on every run. */
function macHash(high: number, low: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x85eb_ca6b), 0x9e37_79b1);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** FNV-1a. */
function textHash(text: string): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
