import type { PortGate } from "@vdc-os/core/network/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { type NetworkRequirement, type NetworkTest, specOf } from "./network-instance.ts";
import { applied, type Station, Stations } from "./stations.ts";

interface Gated {
  readonly gated: Station;
  readonly witness: Station;
  setGate(gate: PortGate, generation?: number): Promise<void>;
  /** Resolves when so many frames are held. */
  holds(frames: number): Promise<void>;
}

const port = { switchId: "certified", portKey: "gated" };

async function gatedPort(test: NetworkTest, stations: Stations): Promise<Gated> {
  const facet = test.facet("gate");
  const spec = specOf(test);
  await applied(test, spec, 1);
  const witness = await stations.connect(spec, { portKey: "witness" });
  const gated = await stations.connect(spec, { portKey: "gated", generation: 2 });
  await stations.mustReach([witness, gated], () => true, "with open gates");
  const { signal } = test.operation();
  return {
    gated,
    witness,
    setGate: (gate, generation = 2) => facet.setGate({ ...port, gate, generation }, test.operation()),
    async holds(frames) {
      // The contract has no event for a held frame.
      while ((await facet.heldFrames(port, test.operation())).frames !== frames) {
        signal.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

const texts = ["1", "2", "3", "4", "5"];

function said({ heard }: Station): readonly string[] {
  return heard.filter((text) => texts.includes(text));
}

/** What gates must do. */
export const gateRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.gate.hold-release-order",
    title: "held frames leave in order, as many as are released, and the rest when the gate opens",
    clause: 'GateFacet.releaseHeld: "Lets the first `frames` held frames through, in order; the gate stays as it is."',
    level: "extended",
    facet: "gate",
    async run(test) {
      await using stations = new Stations(test);
      const { gated, witness, setGate, holds } = await gatedPort(test, stations);
      await setGate("hold");
      for (const text of texts) gated.say(text);
      await holds(5);
      mustEqual(said(witness), [], "what passes a gate that holds");
      witness.say("to the VM");
      await gated.hears("to the VM");
      const facet = test.facet("gate");
      const result = await facet.releaseHeld({ ...port, frames: 3, generation: 2 }, test.operation());
      mustEqual(result, { released: 3 }, "the answer of a release");
      await witness.hears("3");
      mustEqual(await facet.heldFrames(port, test.operation()), { frames: 2 }, "the frames that are still held");
      mustEqual(said(witness), ["1", "2", "3"], "what was let through, in order");
      await setGate("open");
      await witness.hears("5");
      mustEqual(said(witness), texts, "what was let through in the end");
    },
  },
  {
    id: "network.gate.discard",
    title: "discarded frames never arrive",
    clause: 'GateFacet.discardHeld: "Forgets the held frames."',
    level: "extended",
    facet: "gate",
    async run(test) {
      await using stations = new Stations(test);
      const { gated, witness, setGate, holds } = await gatedPort(test, stations);
      await setGate("hold");
      gated.say("1");
      gated.say("2");
      await holds(2);
      const result = await test.facet("gate").discardHeld({ ...port, generation: 2 }, test.operation());
      mustEqual(result, { discarded: 2 }, "the answer of a discard");
      await setGate("open");
      gated.say("3");
      await witness.hears("3");
      mustEqual(said(witness), ["3"], "what arrived");
    },
  },
  {
    id: "network.gate.drop",
    title: "a gate that drops passes nothing from the VM, and keeps nothing",
    clause: 'PortGate: "everything, nothing yet (`hold`: kept in order, within a bound), or nothing"',
    level: "extended",
    facet: "gate",
    async run(test) {
      await using stations = new Stations(test);
      const { gated, witness, setGate } = await gatedPort(test, stations);
      await setGate("drop");
      gated.say("1");
      gated.say("2");
      const before = await test.provider.portStatistics({ switchId: port.switchId }, test.operation());
      must(before.length === 2, "portStatistics must tell both ports");
      // The frames were taken in before the gate opens: the switch has counted them.
      const taken = Number(before.find(({ portKey }) => portKey === "gated")?.framesIn ?? 0);
      for (let now = taken; now < 2; ) {
        const [gate] = await test.provider.portStatistics({ ...port, portKeys: ["gated"] }, test.operation());
        now = Number(gate?.framesIn ?? 0);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
      await setGate("open");
      gated.say("3");
      await witness.hears("3");
      mustEqual(said(witness), ["3"], "what arrived");
    },
  },
  {
    id: "network.gate.fenced",
    title: "only the port's owner sets its gate",
    clause: 'Generation: "A call with a lower generation than the highest ... fails with `FAILED_PRECONDITION`"',
    level: "extended",
    facet: "gate",
    async run(test) {
      await using stations = new Stations(test);
      const { gated, witness, setGate } = await gatedPort(test, stations);
      await mustReject(setGate("drop", 1), "FAILED_PRECONDITION", "a gate set by an older owner");
      const older = test.facet("gate").discardHeld({ ...port, generation: 1 }, test.operation());
      await mustReject(older, "FAILED_PRECONDITION", "a discard by an older owner");
      gated.say("1");
      await witness.hears("1");
    },
  },
];
