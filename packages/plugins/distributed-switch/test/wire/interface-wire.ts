import { execFileSync, spawnSync } from "node:child_process";
import { hasNamespaces, NetworkNamespace } from "./network-namespace.ts";

/** Whether the kernel has macvtap; says loudly when not. */
export function hasMacvtap(): boolean {
  if (!hasNamespaces()) return false;
  using namespace = new NetworkNamespace();
  namespace.ip("link add v0 type veth peer name v1");
  try {
    namespace.ip("link add link v0 name m0 type macvtap mode passthru");
    return true;
  } catch {
    console.warn("SKIPPED: this kernel has no macvtap, so no interface was an uplink");
    return false;
  }
}

let wires = 0;

/** A pair of interfaces that are wired to each other, in this process's namespace. */
export class InterfaceWire implements Disposable {
  readonly a: string;
  readonly b: string;

  constructor() {
    wires += 1;
    this.a = `vdcv${process.pid}a${wires}`;
    this.b = `vdcv${process.pid}b${wires}`;
    execFileSync("ip", ["link", "add", this.a, "mtu", "9000", "type", "veth", "peer", "name", this.b, "mtu", "9000"]);
  }

  [Symbol.dispose](): void {
    spawnSync("ip", ["link", "del", this.a]);
  }
}
