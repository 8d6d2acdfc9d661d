import type { FilterRule, PortSetting } from "@vdc-os/core/network/v1";
import { must, mustEqual } from "../suite/must.ts";
import { membershipReport, multicastFrame } from "./multicast-frame.ts";
import { hostOf, inVlan, type NetworkRequirement, openSetting, specOf } from "./network-instance.ts";
import { allowedSince, untilStatistics } from "./statistics.ts";
import { applied, type Station, Stations } from "./stations.ts";

const slow = { averageBitsPerSecond: 80_000, peakBitsPerSecond: 80_000, burstBytes: 5_000, packetsPerSecond: 0 };
const nested: PortSetting = {
  ...openSetting,
  security: { promiscuous: false, forgedTransmits: true, macChanges: false },
  macLearning: { enabled: true, limit: 2, whenFull: "drop", floodUnknown: false },
};

function filtered(...filters: readonly FilterRule[]): PortSetting {
  return { ...openSetting, filters };
}

function sayMany(station: Station, count: number, octets: number): void {
  for (let number = 0; number < count; number += 1) station.say(`${number}.`.padEnd(octets - 15, "x"));
}

/** What the settings of ports must do that need a facet. */
export const settingRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.pvlan.roles",
    title:
      "private VLANs: isolated ports reach promiscuous ones alone, communities themselves and the promiscuous ones",
    clause: 'VlanSetting: "`pvlan`: a private VLAN (RFC 5517)"',
    level: "extended",
    facet: "pvlan",
    async run(test) {
      const role = (kind: "promiscuous" | "isolated" | "community", secondary: number): PortSetting =>
        inVlan({ kind: "pvlan", primary: 100, secondary, role: kind });
      const spec = specOf(test, {
        gateway: role("promiscuous", 100),
        alone: role("isolated", 101),
        team: role("community", 102),
        crew: role("community", 103),
        outside: inVlan({ kind: "access", id: 10 }),
      });
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const groups = ["gateway", "gateway", "alone", "alone", "team", "team", "crew", "outside"];
      const all: Station[] = [];
      for (const [index, portGroup] of groups.entries()) {
        const host = hostOf(test, index % test.instance.hosts.length);
        all.push(await stations.connect(spec, { portKey: `nic-${index}`, portGroup, host }));
      }
      const reaches = (from: string | undefined, to: string | undefined): boolean => {
        if (from === "outside" || to === "outside") return from === to;
        return from === "gateway" || to === "gateway" || (from === to && from !== "alone");
      };
      await stations.mustReach(all, (from, to) => reaches(groups[from], groups[to]), "in a private VLAN");
    },
  },
  {
    id: "network.shaping.limits",
    title: "what a VM sends beyond its rate and burst does not pass, and is counted",
    clause: 'ShapingSetting: "A token bucket for one direction of a port."',
    level: "extended",
    facet: "shaping",
    async run(test) {
      const spec = specOf(test, { flat: openSetting, slow: { ...openSetting, shapingIn: slow } });
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const limited = await stations.connect(spec, { portKey: "limited", portGroup: "slow" });
      const witness = await stations.connect(spec, { portKey: "witness" });
      await stations.mustReach([limited, witness], () => true, "below the rate");
      const before = witness.heard.length;
      const begun = performance.now();
      sayMany(limited, 100, 1_000);
      const counted = await untilStatistics(test, "limited", ({ framesIn }) => BigInt(framesIn) >= 100n);
      // The burst is five frames, and each second brings ten more: on a machine that is busy, of as many as there were.
      const allowed = allowedSince(begun, { perSecond: 10, atLeast: 60 });
      const passed = witness.heard.length - before;
      must(passed <= allowed, `of 100 frames at once, of which the burst holds 5, ${passed} passed`);
      must(
        test.description.attributes.countsDrops === false || BigInt(counted.framesForwarded) < allowed + 20,
        `of 100 frames that the rate does not let pass, ${counted.framesForwarded} are counted as forwarded`,
      );
      witness.say("still there");
      await limited.hears("still there");
    },
  },
  {
    id: "network.shaping.effective",
    title: "the rate that took effect can be read back",
    clause:
      'EffectiveSettingFacet.effectiveSetting: "The setting that the data path applies to a port now, in the values that it works with."',
    level: "extended",
    facet: "shaping",
    async run(test) {
      const spec = specOf(test, { slow: { ...openSetting, shapingIn: slow } });
      const { switchId } = spec;
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      await stations.connect(spec, { portKey: "limited" });
      const { shapingIn, shapingOut } = await test
        .facet("shaping")
        .effectiveSetting({ switchId, portKey: "limited" }, test.operation());
      const rate = shapingIn?.averageBitsPerSecond ?? 0;
      must(rate >= 72_000 && rate <= 88_000, `80,000 bit/s were asked, and ${rate} are in force`);
      mustEqual(shapingOut, undefined, "the shaping of the other direction");
    },
  },
  {
    id: "network.learning.nested",
    title: "stations behind a VM are learned: what is for them goes there, and to nobody else",
    clause: 'MacLearningSetting: "Stations behind a VM, as nested hosts have"',
    level: "extended",
    facet: "macLearning",
    async run(test) {
      const spec = specOf(test, { nested, flat: openSetting });
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const [host, peer, other] = [
        await stations.connect(spec, { portKey: "host" }),
        await stations.connect(spec, { portKey: "peer", portGroup: "flat" }),
        await stations.connect(spec, { portKey: "other", portGroup: "flat" }),
      ];
      await stations.mustReach([host, peer, other], () => true, "at first");
      const inner = "52:54:00:ff:01:01";
      host.say("from inside", { from: inner });
      await peer.hears("from inside");
      peer.say("to inside", { to: inner });
      await host.hears("to inside");
      await stations.mustReach([host, peer, other], () => true, "afterwards");
      mustEqual(other.heardOf("to inside"), [], "what a third one hears of it");
    },
  },
  {
    id: "network.learning.limit",
    title: "no more addresses are learned behind a port than it may have",
    clause: 'MacLearningSetting.limit: "How many addresses are learned behind the port."',
    level: "extended",
    facet: "macLearning",
    async run(test) {
      const spec = specOf(test, { nested, flat: openSetting });
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const host = await stations.connect(spec, { portKey: "host" });
      const peer = await stations.connect(spec, { portKey: "peer", portGroup: "flat" });
      await stations.mustReach([host, peer], () => true, "at first");
      for (const number of [1, 2, 3, 4]) host.say(`inside ${number}`, { from: `52:54:00:ff:01:0${number}` });
      host.say("last");
      await peer.hears("last");
      must(peer.heard.includes("inside 1"), "the first address behind the port must pass");
      mustEqual(peer.heardOf("inside 4"), [], "what passes from an address over the limit");
      const { ports } = await test.provider.switchStatus({ switchId: spec.switchId }, test.operation());
      const learned = ports.find(({ portKey }) => portKey === "host")?.learnedMacs ?? [];
      must(learned.length <= 3, `at most 2 addresses beside the NIC's own may be learned, and ${learned.length} are`);
    },
  },
  {
    id: "network.filter.order",
    title: "filter rules hold in their order and direction",
    clause: 'FilterRule: "A filter rule, in order; a frame that no rule decides is accepted."',
    level: "extended",
    facet: "accessControl",
    async run(test) {
      const [etherType, friend] = [0x88b5, "52:54:00:00:f1:01"];
      const spec = specOf(test, {
        flat: openSetting,
        strict: filtered(
          { name: "friend", direction: "in", match: { destinationMac: friend }, action: { kind: "accept" } },
          { name: "rest", direction: "in", match: { etherType }, action: { kind: "drop" } },
        ),
      });
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const strict = await stations.connect(spec, { portKey: "strict", portGroup: "strict" });
      const known = await stations.connect(spec, { portKey: "friend", mac: friend });
      const other = await stations.connect(spec, { portKey: "other" });
      await stations.mustReach([strict, known, other], (from) => from !== 0, "with a filter on what one sends");
      strict.say("to a friend", { to: friend });
      await known.hears("to a friend");
      strict.say("to another", { to: other.mac });
      strict.say("to a friend again", { to: friend });
      await known.hears("to a friend again");
      mustEqual(other.heardOf("to another"), [], "what passes that the second rule drops");
    },
  },
  {
    id: "network.filter.rate",
    title: "a rule that limits a rate lets no more pass",
    clause: 'FilterAction: "`rateLimit` drops what is over its rate."',
    level: "extended",
    facet: "accessControl",
    async run(test) {
      const { filterActions } = test.description.attributes;
      const action = { kind: "rateLimit", packetsPerSecond: 10 } as const;
      const spec = specOf(test, {
        flat: openSetting,
        limited: filtered({ name: "limit", direction: "in", match: { etherType: 0x88b5 }, action }),
      });
      if (Array.isArray(filterActions) && !filterActions.includes("rateLimit")) {
        const problems = await test.provider.validateSwitch({ spec }, test.operation());
        const isRefused = problems.some(({ path }) => path === "portGroups[1].setting.filters[0].action");
        must(isRefused, "'filterActions' does not list 'rateLimit', so such a rule must be refused, by its path");
        return;
      }
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const limited = await stations.connect(spec, { portKey: "limited", portGroup: "limited" });
      const witness = await stations.connect(spec, { portKey: "witness" });
      const { signal } = test.operation();
      while (!witness.heard.includes("below the rate")) {
        signal.throwIfAborted();
        limited.say("below the rate");
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      const begun = performance.now();
      sayMany(limited, 200, 60);
      await untilStatistics(test, "limited", ({ framesIn }) => BigInt(framesIn) >= 201n);
      const passed = witness.heard.filter((text) => text !== "below the rate").length;
      const allowed = allowedSince(begun, { perSecond: 10, atLeast: 150 });
      must(passed <= allowed, `of 200 frames at once, ${passed} passed 10 frames per second`);
    },
  },
  {
    id: "network.mirror.follows",
    title: "a mirror session copies what a port sends and gets, and follows it to another host",
    clause: 'MirrorSession: "It belongs to ports, so that it follows the VM."',
    level: "extended",
    facet: "mirroring",
    async run(test) {
      const mirrors = [
        {
          name: "watch",
          sourcePorts: ["nic"],
          direction: "both",
          destination: { kind: "port", portKey: "probe" },
        },
      ] as const;
      const spec = { ...specOf(test), mirrors };
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const probe = await stations.connect(spec, { portKey: "probe", portGroup: "blue" });
      const peer = await stations.connect(spec, { portKey: "peer", portGroup: "red" });
      const nic = await stations.connect(spec, { portKey: "nic", portGroup: "red" });
      await stations.mustReach([nic, peer], () => true, "beside a probe");
      nic.say("from the port", { to: peer.mac });
      await probe.hears("from the port");
      peer.say("to the port", { to: nic.mac });
      await probe.hears("to the port");
      const host = test.instance.hosts.at(-1) ?? hostOf(test, 0);
      const moved = await stations.connect(spec, { portKey: "nic", portGroup: "red", generation: 2, host });
      await stations.mustReach([moved, peer], () => true, "after the port moved");
      moved.say("from elsewhere", { to: peer.mac });
      await probe.hears("from elsewhere");
    },
  },
  {
    id: "network.multicast.members",
    title: "multicast frames go to those that asked for them",
    clause: 'SwitchSpec.multicastSnooping: "Multicast frames go to those that asked for them (RFC 4541)."',
    level: "extended",
    facet: "multicastSnooping",
    async run(test) {
      const spec = { ...specOf(test), multicastSnooping: true };
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const [sender, member, stranger] = [
        await stations.connect(spec, { portKey: "sender" }),
        await stations.connect(spec, { portKey: "member" }),
        await stations.connect(spec, { portKey: "stranger" }),
      ];
      const all = [sender, member, stranger];
      await stations.mustReach(all, () => true, "at first");
      const got: string[] = [];
      for (const station of [member, stranger]) {
        const hears = station.nic.onFrame;
        station.nic.onFrame = (bytes) => {
          if (Buffer.from(bytes).includes("news")) got.push(station.binding.portKey);
          hears(bytes);
        };
      }
      member.nic.send(membershipReport(member.mac, "239.1.2.3"));
      await stations.mustReach(all, () => true, "after one has joined");
      const { signal } = test.operation();
      // A switch may take a moment to know a member.
      while (!got.includes("member")) {
        signal.throwIfAborted();
        got.length = 0;
        sender.nic.send(multicastFrame(sender.mac, "239.1.2.3", "news"));
        await stations.mustReach(all, () => true, "after the news");
      }
      mustEqual([...new Set(got)], ["member"], "who got what was sent to the group");
    },
  },
];
