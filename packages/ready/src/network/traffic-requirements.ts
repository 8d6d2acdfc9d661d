import { mustEqual } from "../suite/must.ts";
import { defaultGroups, hostOf, inVlan, type NetworkRequirement, openSetting, specOf } from "./network-instance.ts";
import { applied, Stations } from "./stations.ts";

const noReception = 'PortSetting.blocked: "Passes nothing in either direction."';

/** Which frames must pass, and which must not. */
export const trafficRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.traffic.isolation",
    title: "VLANs are apart, before and after a port group changes its VLAN",
    clause: 'VlanSetting: "`access`: untagged frames, in one VLAN."; "`none`: ... the switch\'s own untagged network"',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const groups = ["flat", "flat", "red", "red", "blue", "blue"];
      const all = [];
      for (const [index, portGroup] of groups.entries()) {
        const host = hostOf(test, index % test.instance.hosts.length);
        all.push(await stations.connect(spec, { portKey: `nic-${index}`, portGroup, host }));
      }
      await stations.mustReach(all, (from, to) => groups[from] === groups[to], "at first");
      // Red joins blue.
      await applied(test, specOf(test, { ...defaultGroups, red: defaultGroups.blue ?? openSetting }), 2);
      const joined = groups.map((group) => (group === "red" ? "blue" : group));
      await stations.mustReach(all, (from, to) => joined[from] === joined[to], "after red joined blue");
    },
  },
  {
    id: "network.traffic.access",
    title: "an access port drops tagged frames, even of its own VLAN",
    clause: 'VlanSetting: "Tagged frames are dropped: an access port is never a trunk."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const [one, two] = [
        await stations.connect(spec, { portKey: "one", portGroup: "red" }),
        await stations.connect(spec, { portKey: "two", portGroup: "red" }),
      ];
      const blue = await stations.connect(spec, { portKey: "blue", portGroup: "blue" });
      one.say("tagged-own", { tag: 10 });
      one.say("tagged-other", { tag: 20 });
      await stations.mustReach([one, two, blue], (from, to) => from < 2 && to < 2, "in an access VLAN");
      const tagged = [two, blue].flatMap(({ heard }) => heard.filter((text) => text.startsWith("tagged")));
      mustEqual(tagged, [], "what arrived of tagged frames from an access port");
    },
  },
  {
    id: "network.traffic.trunk",
    title: "a trunk passes the VLANs of its list, tagged; an empty list passes nothing",
    clause: 'VlanSetting: "`trunk`: tagged frames of these VLANs ... An empty list passes nothing tagged."',
    level: "core",
    async run(test) {
      const spec = specOf(test, {
        ...defaultGroups,
        trunk: inVlan({ kind: "trunk", ranges: [{ from: 9, to: 11 }] }),
        nothing: inVlan({ kind: "trunk", ranges: [] }),
      });
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const trunk = await stations.connect(spec, { portKey: "trunk", portGroup: "trunk" });
      const nothing = await stations.connect(spec, { portKey: "nothing", portGroup: "nothing" });
      const reds = [
        await stations.connect(spec, { portKey: "red-1", portGroup: "red" }),
        await stations.connect(spec, { portKey: "red-2", portGroup: "red" }),
      ];
      const blues = [
        await stations.connect(spec, { portKey: "blue-1", portGroup: "blue" }),
        await stations.connect(spec, { portKey: "blue-2", portGroup: "blue" }),
      ];
      nothing.say("from nothing", { tag: 10 });
      trunk.say("not listed", { tag: 20 });
      trunk.say("listed", { tag: 10 });
      reds[0]?.say("to trunk");
      await trunk.hears("to trunk@10");
      await stations.mustReach(reds, () => true, "among red");
      await stations.mustReach(blues, () => true, "among blue");
      for (const red of reds) mustEqual(red.heard.includes("listed"), true, "whether red hears the trunk, untagged");
      const strays = [...reds, ...blues, nothing].flatMap(({ heard }) =>
        heard.filter((text) => text.startsWith("from nothing") || text.startsWith("not listed")),
      );
      mustEqual(strays, [], "what passed beside the list");
      mustEqual(nothing.heard, [], "what a trunk with an empty list hears");
      mustEqual(
        trunk.heard.filter((text) => !text.endsWith("@10")),
        [],
        "what the trunk hears beside its VLAN",
      );
    },
  },
  {
    id: "network.traffic.blocked",
    title: "a blocked port passes nothing, in either direction, until it is unblocked",
    clause: noReception,
    level: "core",
    async run(test) {
      const blocked = specOf(test, { flat: openSetting, shut: { ...openSetting, blocked: true } });
      await applied(test, blocked, 1);
      await using stations = new Stations(test);
      const all = [
        await stations.connect(blocked, { portKey: "one" }),
        await stations.connect(blocked, { portKey: "two" }),
        await stations.connect(blocked, { portKey: "shut", portGroup: "shut" }),
      ];
      await stations.mustReach(all, (from, to) => from < 2 && to < 2, "while one is blocked");
      await applied(test, specOf(test, { flat: openSetting, shut: openSetting }), 2);
      await stations.mustReach(all, () => true, "after it was unblocked");
    },
  },
  {
    id: "network.traffic.override",
    title: "a port's own setting goes before its group's",
    clause: 'ConnectPort.setting: "The effective setting, when it differs from the port group\'s."',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const all = [
        await stations.connect(spec, { portKey: "red", portGroup: "red" }),
        await stations.connect(spec, { portKey: "own", setting: inVlan({ kind: "access", id: 10 }) }),
        await stations.connect(spec, { portKey: "flat-1" }),
        await stations.connect(spec, { portKey: "flat-2" }),
      ];
      await stations.mustReach(all, (from, to) => from < 2 === to < 2, "with a setting of its own");
    },
  },
  {
    id: "network.traffic.unicast",
    title: "what is sent to one VM is not given to the others",
    clause: 'SecuritySetting.promiscuous: "Receives frames for others in its VLANs." All default to false.',
    level: "core",
    async run(test) {
      const spec = specOf(test);
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const [one, two, three] = [
        await stations.connect(spec, { portKey: "one" }),
        await stations.connect(spec, { portKey: "two" }),
        await stations.connect(spec, { portKey: "three" }),
      ];
      await stations.mustReach([one, two, three], () => true, "at first");
      one.say("for two", { to: two.mac });
      await two.hears("for two");
      await stations.mustReach([one, two, three], () => true, "afterwards");
      mustEqual(three.heard.includes("for two"), false, "whether a third one hears what is sent to the second");
    },
  },
  {
    id: "network.security.forged",
    title: "frames from an address that is not the NIC's are dropped, unless the setting lets them pass",
    clause: 'SecuritySetting.forgedTransmits: "May send frames whose source address is not the NIC\'s."',
    level: "extended",
    facet: "securityPolicy",
    async run(test) {
      const security = { ...openSetting.security, forgedTransmits: true };
      const spec = specOf(test, { flat: openSetting, free: { ...openSetting, security } });
      const { switchId } = spec;
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const strict = await stations.connect(spec, { portKey: "strict" });
      const free = await stations.connect(spec, { portKey: "free", portGroup: "free" });
      const witness = await stations.connect(spec, { portKey: "witness" });
      strict.say("forged", { from: "52:54:00:ff:00:01" });
      free.say("allowed", { from: "52:54:00:ff:00:02" });
      await witness.hears("allowed");
      await stations.mustReach([strict, free, witness], () => true, "from their own addresses");
      mustEqual(witness.heard.includes("forged"), false, "whether a forged frame passes");
      const facet = test.facet("securityPolicy");
      const inForce = await facet.effectiveSetting({ switchId, portKey: "free" }, test.operation());
      mustEqual(inForce.security, security, "the setting that is in force");
    },
  },
];
