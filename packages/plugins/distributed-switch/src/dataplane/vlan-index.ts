import type { SwitchPort } from "./switch-port.ts";

/** The ports that frames of one VLAN can leave through. */
export interface VlanPorts {
  readonly all: readonly SwitchPort[];
  /** Those that get a copy of everything, by their security policy. */
  readonly promiscuous: readonly SwitchPort[];
  /** Those that get unicast frames for addresses that nobody is known to have. */
  readonly flooded: readonly SwitchPort[];
}

/**
 * Finds the ports of a VLAN. Adding or removing a port costs the same however many there are; a VLAN's lists are made when its next frame
 * needs them, so that a configuration of many ports makes each list once.
 */
export class VlanIndex {
  readonly #byVlan = new Map<number, Set<SwitchPort>>();
  /** Trunks and the promiscuous ports of private VLANs. */
  readonly #wide = new Set<SwitchPort>();
  readonly #lists = new Map<number, VlanPorts>();

  add(port: SwitchPort): void {
    const vlans = port.membership.fewVlans;
    if (vlans === undefined) {
      this.#wide.add(port);
      this.#lists.clear();
      return;
    }
    for (const vlan of vlans) {
      const ports = this.#byVlan.get(vlan);
      if (ports === undefined) this.#byVlan.set(vlan, new Set([port]));
      else ports.add(port);
      this.#lists.delete(vlan);
    }
  }

  /** Takes out a port whose settings are still those with which it was added. */
  remove(port: SwitchPort): void {
    const vlans = port.membership.fewVlans;
    if (vlans === undefined) {
      if (this.#wide.delete(port)) this.#lists.clear();
      return;
    }
    for (const vlan of vlans) {
      const ports = this.#byVlan.get(vlan);
      ports?.delete(port);
      if (ports?.size === 0) this.#byVlan.delete(vlan);
      this.#lists.delete(vlan);
    }
  }

  /** Makes every list anew when it is next needed. */
  invalidate(): void {
    this.#lists.clear();
  }

  portsOf(vlan: number): VlanPorts {
    const known = this.#lists.get(vlan);
    if (known !== undefined) return known;
    const all = [...(this.#byVlan.get(vlan) ?? [])];
    for (const port of this.#wide) if (port.membership.admits(vlan)) all.push(port);
    const made = {
      all,
      promiscuous: all.filter((port) => port.promiscuous),
      flooded: all.filter((port) => port.floods),
    };
    this.#lists.set(vlan, made);
    return made;
  }
}
