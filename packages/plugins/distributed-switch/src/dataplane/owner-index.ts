import { AddressIndex, VALUE_CELL } from "./address-index.ts";
import { type MacAddress, macHigh, macLow } from "./mac-address.ts";
import type { SwitchPort } from "./switch-port.ts";

const NOBODY: readonly SwitchPort[] = [];

/** The ports by their own addresses, which count in every VLAN. Two ports may have one address while a VM moves between them. */
export class OwnerIndex {
  readonly #index = new AddressIndex();
  readonly #owners: SwitchPort[][] = [];
  readonly #free: number[] = [];

  /** Whose address this is. The array is only valid until the next change. */
  find(high: number, low: number): readonly SwitchPort[] {
    const at = this.#index.find(high, low);
    return at < 0 ? NOBODY : (this.#owners[this.#index.cells[at + VALUE_CELL] ?? -1] ?? NOBODY);
  }

  /** Adds an owner, unless it is one already. */
  add(port: SwitchPort, mac: MacAddress): void {
    const at = this.#index.find(macHigh(mac), macLow(mac));
    if (at >= 0) {
      const owners = this.#owners[this.#index.cells[at + VALUE_CELL] ?? -1];
      if (owners !== undefined && !owners.includes(port)) owners.push(port);
      return;
    }
    const slot = this.#free.pop() ?? this.#owners.length;
    this.#owners[slot] = [port];
    this.#index.insert(macHigh(mac), macLow(mac), slot);
  }

  remove(port: SwitchPort, mac: MacAddress): void {
    const at = this.#index.find(macHigh(mac), macLow(mac));
    if (at < 0) return;
    const slot = this.#index.cells[at + VALUE_CELL] ?? -1;
    const owners = this.#owners[slot];
    const place = owners?.indexOf(port) ?? -1;
    if (owners === undefined || place < 0) return;
    owners.splice(place, 1);
    if (owners.length > 0) return;
    this.#index.removeAt(at);
    this.#free.push(slot);
  }
}
