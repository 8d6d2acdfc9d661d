import { type CapturedFrame, type CaptureOptions, CaptureTap } from "./capture-tap.ts";
import { DataPlaneError } from "./data-plane-error.ts";
import type { FilterEvent } from "./event-log.ts";
import type { Explanation } from "./explanation.ts";
import type { FilterRuleStatistics } from "./filter-program.ts";
import type { FlowStatistics } from "./flow-table.ts";
import type { HostSwitch } from "./host-switch.ts";
import type { MirrorStatistics } from "./mirror-session.ts";
import type { EffectiveShaping } from "./port-shaper.ts";
import { type PortState, portStateSchema } from "./port-state.ts";
import type { SwitchEngine } from "./switch-engine.ts";
import type { SwitchPort } from "./switch-port.ts";

/** How to find what the tools work on. Both throw `NOT_FOUND`. */
export interface PortToolsOptions {
  readonly port: (portKey: string) => { readonly engine: SwitchEngine; readonly port: SwitchPort };
  readonly host: (switchKey: string) => HostSwitch;
  readonly now: () => number;
}

/** What is in force at a port, as far as it can differ from what was asked for. */
export interface EffectivePort {
  readonly shapingIn?: EffectiveShaping | undefined;
  readonly shapingOut?: EffectiveShaping | undefined;
  /** The address that the guest uses besides the assigned one. */
  readonly effectiveMac: string;
  /** Addresses learned behind the port. */
  readonly learnedAddresses: number;
}

/** A capture of one port. It ends with `close`, or with its port. */
export interface Capture {
  /** Takes the frames that wait, oldest first, `count` at most. */
  take(count?: number): CapturedFrame[];
  /** Frames that were not kept because too many waited. */
  readonly lost: number;
  close(): void;
}

/** Looks into the ports of a data plane, and moves what they know. Ports are named by the keys of their configuration. */
export class PortTools {
  readonly #options: PortToolsOptions;

  constructor(options: PortToolsOptions) {
    this.#options = options;
  }

  /** What would happen to a frame from the port's NIC now, and why; without doing it. */
  explain(portKey: string, frame: Uint8Array): Explanation {
    const { engine, port } = this.#options.port(portKey);
    if (engine.port(portKey) !== port) {
      throw new DataPlaneError("INVALID_ARGUMENT", `'${portKey}' is an uplink; only frames from ports are explained`);
    }
    const explanation = engine.explainer.fromPort(port, frame);
    engine.flush();
    return explanation;
  }

  /** What would become of an untagged frame of a VLAN that another host sent to a switch here. Throws `NOT_FOUND`. */
  explainFromPeer(
    switchKey: string,
    { peer, vlan }: { readonly peer: string; readonly vlan: number },
    frame: Uint8Array,
  ): Explanation {
    return this.#options.host(switchKey).explainFromPeer(peer, vlan, frame);
  }

  /** Copies what passes a port, or an uplink by `<switch>/<name>`, from now on. There may be several captures of one. */
  capture(portKey: string, options: CaptureOptions = {}): Capture {
    const { port } = this.#options.port(portKey);
    const tap = new CaptureTap(options, this.#options.now);
    port.taps = [...(port.taps ?? []), tap];
    return {
      take: (count) => tap.take(count),
      get lost() {
        return tap.lost;
      },
      close: () => {
        const rest = port.taps?.filter((other) => other !== tap) ?? [];
        port.taps = rest.length === 0 ? undefined : rest;
      },
    };
  }

  /** What is really in force. */
  effective(portKey: string): EffectivePort {
    const { port } = this.#options.port(portKey);
    const shapingIn = port.policyIn?.parts.shaper?.effective();
    const shapingOut = port.policyOut?.parts.shaper?.effective();
    return {
      ...(shapingIn === undefined ? {} : { shapingIn }),
      ...(shapingOut === undefined ? {} : { shapingOut }),
      effectiveMac: port.effectiveMacText,
      learnedAddresses: port.stations,
    };
  }

  /** How often each filter rule of a port matched, in each direction that it is about. */
  filterStatistics(portKey: string): readonly FilterRuleStatistics[] {
    const { port } = this.#options.port(portKey);
    return [port.policyIn, port.policyOut].flatMap((policy) => policy?.parts.filter?.statistics() ?? []);
  }

  /** What the `log` rules of a switch saw after an event; all that is kept without one. */
  filterEvents(
    switchKey: string,
    afterSequence?: number,
  ): { readonly events: readonly FilterEvent[]; readonly suppressed: number } {
    const { log } = this.#options.host(switchKey).engine;
    return { events: log.read(afterSequence), suppressed: log.suppressed };
  }

  mirrorStatistics(switchKey: string): readonly MirrorStatistics[] {
    return [...this.#options.host(switchKey).engine.directory.mirrorPoints()].map((point) => point.statistics());
  }

  /** Undefined when the switch accounts no flows. */
  flowStatistics(switchKey: string): FlowStatistics | undefined {
    return this.#options.host(switchKey).engine.directory.flows?.statistics();
  }

  /** What a port takes along to another host. The port stays as it is. */
  exportState(portKey: string): PortState {
    const { engine, port } = this.#options.port(portKey);
    const state = engine.exportPort(port);
    engine.flush();
    return state;
  }

  /** Gives a new port what it had on another host. Throws `INVALID_ARGUMENT` for what is no port state; nothing has changed then. */
  importState(portKey: string, state: unknown): void {
    const { engine, port } = this.#options.port(portKey);
    const parsed = portStateSchema.safeParse(state);
    if (!parsed.success) {
      throw new DataPlaneError("INVALID_ARGUMENT", `port '${portKey}': the state is refused: ${parsed.error.message}`);
    }
    engine.importPort(port, parsed.data);
    engine.flush();
  }
}
