import type { OperationContext } from "@vdc-os/core";
import type { ConnectPort, DistributedSwitch, SwitchSpec } from "@vdc-os/core/network/v1";
import { crashInCall } from "../suite/crash-in-call.ts";
import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { mustEqual, mustReject } from "../suite/must.ts";
import { defaultGroups, inVlan, type NetworkTest, specOf } from "./network-instance.ts";
import { applied, portOf } from "./stations.ts";

/** A call that is interrupted again and again, and what it must leave. `test.provider` is the one of the moment. */
export interface InterruptedCall {
  /** What is called, for messages: `an apply`. */
  readonly what: string;
  /** What comes before, uninterrupted. */
  begin?(test: NetworkTest): Promise<unknown>;
  /** `step` counts from 0. */
  call(test: NetworkTest, operation: OperationContext, step: number): Promise<unknown>;
  /** Looks at what is there, repeats the call, and looks again. Told whether the call succeeded all the same. */
  look(test: NetworkTest, step: number, isDone: boolean): Promise<void>;
}

/** Gives the call up at one moment after the other. */
export async function giveUp(test: NetworkTest, { what, begin, call, look }: InterruptedCall): Promise<void> {
  await begin?.(test);
  await giveUpAtEveryStep(test, {
    what,
    call: (operation, step) => call(test, operation, step),
    look: (step, isDone) => look(test, step, isDone),
  });
}

/** Ends the provider when the call is done, and in the middle of it. */
export async function cutShort(test: NetworkTest, { begin, call, look }: InterruptedCall): Promise<void> {
  const reopen = reopenOf(test);
  await begin?.(test);
  await crashInCall({
    provider: test.provider,
    reopen,
    call: (provider, step) => call({ ...test, provider }, test.operation(), step),
    look: (provider, step, isDone) => look({ ...test, provider }, step, isDone),
  });
}

/** Ends the provider as `kill -9` would, and opens what it left. */
export function reopenOf(test: NetworkTest): () => Promise<DistributedSwitch> {
  const { restart } = test.instance;
  if (restart === undefined) return test.skip("the factory gives no 'restart'");
  return async () => test.wrap(await restart.call(test.instance));
}

/** A spec that differs from that of every other generation. */
export function specAt(test: NetworkTest, generation: number): SwitchSpec {
  return specOf(test, { ...defaultGroups, red: inVlan({ kind: "access", id: 100 + generation }) });
}

/** The connected ports as the status tells them: key, host, generation. */
export async function portsOf(
  test: NetworkTest,
  switchId: string,
): Promise<readonly (readonly [string, string, number])[]> {
  const { ports } = await test.provider.switchStatus({ switchId }, test.operation());
  return ports
    .filter(({ host }) => host !== "")
    .map(({ portKey, host, generation }) => [portKey, host, generation] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Each apply is of another spec: it holds, or the one before does. */
export const apply: InterruptedCall = {
  what: "an apply",
  call: (test, operation, step) =>
    test.provider.applySwitch({ spec: specAt(test, step + 1), generation: step + 1 }, operation),
  async look(test, step, isDone) {
    const generation = step + 1;
    const spec = specAt(test, generation);
    const listed = async () => (await test.provider.listSwitches({}, test.operation())).items;
    const [found] = await listed();
    const isOld = !isDone && JSON.stringify(found) === JSON.stringify(specAt(test, generation - 1));
    if (!isOld) mustEqual(found, spec, "the spec after an apply that was interrupted");
    await test.provider.applySwitch({ spec, generation }, test.operation());
    mustEqual(await listed(), [spec], "the switches after a repeat");
    const { desiredGeneration } = await test.provider.switchStatus({ switchId: spec.switchId }, test.operation());
    mustEqual(desiredGeneration, generation, "the generation that is desired");
  },
};

/** Like {@link apply}; and every member takes what is repeated over. */
export const applyEverywhere: InterruptedCall = {
  ...apply,
  async look(test, step, isDone) {
    await apply.look(test, step, isDone);
    await applied(test, specAt(test, step + 1), step + 1);
  },
};

/** Each connection is of a newer owner: the port is there, or the owner before has it; a repeat keeps that one out. */
export const connect: InterruptedCall = {
  what: "a connect",
  begin: (test) => applied(test, specOf(test), 1),
  call: (test, operation, step) => test.provider.connectPort(nic(test, step), operation),
  async look(test, step, isDone) {
    const { switchId, host, generation } = nic(test, step);
    const expected = [["nic", host, generation]];
    if (isDone) mustEqual(await portsOf(test, switchId), expected, "the ports after a connect that was done");
    const binding = await test.provider.connectPort(nic(test, step), test.operation());
    mustEqual([binding.host, binding.generation], [host, generation], "the binding of a repeat");
    mustEqual(await portsOf(test, switchId), expected, "the ports after a repeat");
    if (step === 0) return;
    const older = test.provider.connectPort(nic(test, step - 1), test.operation());
    await mustReject(older, "FAILED_PRECONDITION", "the owner before, after a repeat");
  },
};

/** Each disconnection ends an owner of its own. */
export const disconnect: InterruptedCall = {
  what: "a disconnect",
  async begin(test) {
    await applied(test, specOf(test), 1);
    await test.provider.connectPort(nic(test, 0), test.operation());
  },
  call: (test, operation, step) => test.provider.disconnectPort(ownerOf(test, step), operation),
  async look(test, step, isDone) {
    const { switchId } = specOf(test);
    if (isDone) mustEqual(await portsOf(test, switchId), [], "the ports after a disconnect that was done");
    await test.provider.disconnectPort(ownerOf(test, step), test.operation());
    mustEqual(await portsOf(test, switchId), [], "the ports after a repeat");
    await test.provider.connectPort(nic(test, step + 1), test.operation());
  },
};

/** What the owner of a step connects. */
function nic(test: NetworkTest, step: number): ConnectPort {
  return portOf(test, specOf(test), { portKey: "nic", generation: step + 1 });
}

function ownerOf(test: NetworkTest, step: number) {
  const { switchId, portKey, generation } = nic(test, step);
  return { switchId, portKey, generation };
}
