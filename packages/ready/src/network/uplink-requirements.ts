import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PortSetting, SwitchSpec, TeamingSetting, UplinkSpec } from "@vdc-os/core/network/v1";
import { must, mustEqual } from "../suite/must.ts";
import { isLldpFrame, lldpFrame } from "./lldp-frame.ts";
import { hostOf, inVlan, type NetworkRequirement, type NetworkTest, specOf } from "./network-instance.ts";
import { applied, type Station, Stations } from "./stations.ts";
import { openStreamNic, type SuiteNic } from "./suite-nic.ts";
import { decodeTestFrame, encodeTestFrame, everybody } from "./test-frame.ts";

const order: TeamingSetting = {
  policy: "failoverOrder",
  active: ["first"],
  standby: ["second"],
  failback: true,
  notifySwitches: false,
};

/** The far ends of the uplinks `first` and `second` of the first host. */
class Uplinks implements AsyncDisposable {
  readonly specs: readonly UplinkSpec[];
  readonly #folder: string;
  readonly #ends = new Map<string, SuiteNic>();
  /** What arrived, as `first: text@vlan`. */
  readonly heard: string[] = [];
  readonly lldp: Set<string> = new Set();

  private constructor(folder: string) {
    this.#folder = folder;
    this.specs = ["first", "second"].map((name) => ({
      name,
      backing: { kind: "stream", path: join(folder, `${name}.sock`) },
    }));
  }

  static async open(test: NetworkTest): Promise<Uplinks> {
    const transports = test.description.attributes.transports as readonly string[];
    if (!transports.includes("uplinks")) test.skip("the transport 'uplinks' is not available");
    const uplinks = new Uplinks(await mkdtemp(join(tmpdir(), "vdc-up-")));
    for (const { name } of uplinks.specs) await uplinks.plug(test, name);
    return uplinks;
  }

  async plug(test: NetworkTest, name: string): Promise<void> {
    const spec = this.specs.find((each) => each.name === name);
    must(spec?.backing.kind === "stream", `there is no uplink '${name}'`);
    const end = (await test.instance.openUplink?.(hostOf(test, 0), spec)) ?? (await openStreamNic(spec.backing.path));
    end.onFrame = (bytes) => {
      if (isLldpFrame(bytes)) this.lldp.add(name);
      const frame = decodeTestFrame(bytes);
      if (frame !== undefined) this.heard.push(`${name}: ${frame.text}@${frame.tag ?? "untagged"}`);
    };
    this.#ends.set(name, end);
  }

  async unplug(name: string): Promise<void> {
    await this.#ends.get(name)?.close();
    this.#ends.delete(name);
  }

  send(name: string, frame: Uint8Array): void {
    this.#ends.get(name)?.send(frame);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#ends.keys()]) await this.unplug(name);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function uplinkSpec(test: NetworkTest, uplinks: Uplinks): SwitchSpec {
  const red: PortSetting = { ...inVlan({ kind: "access", id: 10 }), teaming: order };
  const spec = specOf(test, { red });
  return {
    ...spec,
    transport: "uplinks",
    members: [{ host: hostOf(test, 0), uplinks: uplinks.specs }],
  };
}

/** Says it again until the far ends have heard it: an uplink may take a moment to come up. */
async function untilHeard(test: NetworkTest, uplinks: Uplinks, station: Station, wanted: string): Promise<void> {
  const { signal } = test.operation();
  const text = wanted.slice(wanted.indexOf(" ") + 1, wanted.indexOf("@"));
  while (!uplinks.heard.includes(wanted)) {
    signal.throwIfAborted();
    station.say(text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What uplinks must do. */
export const uplinkRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.teaming.failover",
    title: "frames leave tagged by the active uplink, by the standby when that has no link, and come back to it",
    clause: 'TeamingSetting.standby: "Used, in this order, when no active uplink has a link."',
    level: "extended",
    facet: "teaming",
    async run(test) {
      await using uplinks = await Uplinks.open(test);
      await using stations = new Stations(test);
      const spec = uplinkSpec(test, uplinks);
      const { switchId } = spec;
      await applied(test, spec, 1);
      const nic = await stations.connect(spec, { portKey: "nic" });
      const states = () => test.facet("teaming").uplinkStates({ switchId }, test.operation());
      const { signal } = test.operation();
      // Each comes up in its own time, and the standby would be used until the other is.
      for (let up = 0; up < 2; up = (await states()).filter(({ link }) => link === "up").length) {
        signal.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await untilHeard(test, uplinks, nic, "first: active@10");
      const brief = (await states()).map(({ uplink, link, ports }) => `${uplink} ${link} ${ports.join()}`).sort();
      mustEqual(brief, ["first up nic", "second up "], "the uplinks");
      await uplinks.unplug("first");
      await untilHeard(test, uplinks, nic, "second: standby@10");
      await uplinks.plug(test, "first");
      await untilHeard(test, uplinks, nic, "first: back@10");
      const twice = ["active", "back"].filter((text) => uplinks.heard.includes(`second: ${text}@10`));
      mustEqual(
        twice.filter((text) => text === "active"),
        [],
        "what left by the standby uplink beside the active one",
      );
    },
  },
  {
    id: "network.teaming.loop",
    title: "what comes in by an uplink never leaves by another, and an own frame that comes back is dropped",
    clause: 'TeamingSetting: "The order in which a port uses the host\'s uplinks."',
    level: "extended",
    facet: "teaming",
    async run(test) {
      await using uplinks = await Uplinks.open(test);
      await using stations = new Stations(test);
      const spec = uplinkSpec(test, uplinks);
      await applied(test, spec, 1);
      const nic = await stations.connect(spec, { portKey: "nic" });
      const peer = await stations.connect(spec, { portKey: "peer" });
      await untilHeard(test, uplinks, nic, "first: up@10");
      const outside = "52:54:00:ff:02:01";
      uplinks.send("first", encodeTestFrame({ to: everybody, from: outside, text: "from outside", tag: 10 }));
      await nic.hears("from outside");
      uplinks.send("second", encodeTestFrame({ to: everybody, from: nic.mac, text: "looped", tag: 10 }));
      uplinks.send("first", encodeTestFrame({ to: everybody, from: outside, text: "behind it", tag: 10 }));
      await peer.hears("behind it");
      await stations.mustReach([nic, peer], () => true, "beside uplinks");
      mustEqual(
        uplinks.heard.filter((text) => text.includes("outside") || text.includes("behind")),
        [],
        "what went back out of what came in",
      );
      mustEqual([...nic.heardOf("looped"), ...peer.heardOf("looped")], [], "what came back by the standby uplink");
    },
  },
  {
    id: "network.discovery.neighbours",
    title: "neighbours are heard, and told who is here",
    clause: "DiscoveryFacet.neighbours; SwitchSpec.discovery (IEEE 802.1AB)",
    level: "extended",
    facet: "discovery",
    async run(test) {
      await using uplinks = await Uplinks.open(test);
      const spec: SwitchSpec = { ...uplinkSpec(test, uplinks), discovery: "both" };
      const { switchId } = spec;
      await applied(test, spec, 1);
      const { signal } = test.operation();
      const frame = lldpFrame("52:54:00:ff:03:01", "rack-7", "port-3", "top-of-rack");
      for (;;) {
        signal.throwIfAborted();
        uplinks.send("first", frame);
        const [first] = await test.facet("discovery").neighbours({ switchId }, test.operation());
        if (first !== undefined && uplinks.lldp.has("first")) {
          const { host, uplink, chassisId, portId, systemName } = first;
          mustEqual(
            [host, uplink, chassisId, portId, systemName],
            [hostOf(test, 0), "first", "rack-7", "port-3", "top-of-rack"],
            "the neighbour",
          );
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  },
];
