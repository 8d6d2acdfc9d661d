import type { PacketIn } from "@vdc-os/openflow";
import type { CapturedPorts } from "../pipeline/switch-flows.ts";

/** A frame that a host's bridge showed to the manager. */
export interface ShownFrame {
  readonly switchId: string;
  readonly host: string;
  readonly packet: PacketIn;
}

const none: CapturedPorts = new Map();

/** The frames that bridges show to the manager: of ports that are captured, and of health checks. */
export class ShownFrames {
  readonly #onChange: () => void;
  readonly #listeners = new Set<(frame: ShownFrame) => void>();
  readonly #wanted = new Set<{ readonly switchId: string; readonly portKey: string; readonly octets: number }>();
  readonly #captured = new Map<string, CapturedPorts>();

  /** `onChange` is called when other ports are captured than before. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** The ports of a switch that are captured: the same object until that changes. */
  captured(switchId: string): CapturedPorts {
    return this.#captured.get(switchId) ?? none;
  }

  /** Lets frames of a port be shown, until the function that it returns is called. */
  want(switchId: string, port: { readonly portKey: string; readonly octets: number }): () => void {
    const wanted = { switchId, ...port };
    this.#wanted.add(wanted);
    this.#renew(switchId);
    return () => {
      this.#wanted.delete(wanted);
      this.#renew(switchId);
    };
  }

  /** Calls for each frame that is shown, until the function that it returns is called. */
  listen(listener: (frame: ShownFrame) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  show(frame: ShownFrame): void {
    for (const listener of [...this.#listeners]) listener(frame);
  }

  #renew(switchId: string): void {
    const captured = new Map<string, number>();
    for (const { switchId: each, portKey, octets } of this.#wanted) {
      if (each === switchId) captured.set(portKey, Math.max(octets, captured.get(portKey) ?? 0));
    }
    if (captured.size === 0) this.#captured.delete(switchId);
    else this.#captured.set(switchId, captured);
    this.#onChange();
  }
}
