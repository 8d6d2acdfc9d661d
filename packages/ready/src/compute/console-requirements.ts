import { must, mustEqual, mustReject } from "../suite/must.ts";
import { type ComputeRequirement, type ComputeTest, define, pullPlug, readUntil, run } from "./compute-instance.ts";

const clause = 'Hypervisor.readConsole: "What the guest wrote on its first serial port, from a byte offset on"';

async function boot(test: ComputeTest): Promise<string> {
  const { greeting } = test.instance;
  if (greeting === undefined) test.skip("the factory gives no greeting of the guest");
  const { vmId } = await run(test, "web");
  await readUntil(test, vmId, greeting);
  return vmId;
}

/** What the console must do. */
export const consoleRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.console.follow",
    title: "a console that is followed tells what the guest writes, and ends when the VM stops",
    clause: 'Hypervisor.readConsole: "with `follow`, also what it writes later, until the VM stops"',
    level: "core",
    async run(test) {
      const vmId = await boot(test);
      let read = "";
      let told: () => void = () => {};
      const begun = new Promise<void>((resolve) => {
        told = resolve;
      });
      const rest = (async () => {
        for await (const { text } of test.provider.readConsole({ vmId, follow: true }, test.operation())) {
          read += text;
          told();
        }
      })();
      await begun;
      await pullPlug(test, vmId);
      await rest;
      must(read.includes(test.instance.greeting as string), "the whole console must have been told");
    },
  },
  {
    id: "compute.console.offsets",
    title: "a console can be read on from any byte offset",
    clause,
    level: "core",
    async run(test) {
      const vmId = await boot(test);
      await pullPlug(test, vmId);
      const read = async (offset?: number): Promise<string> => {
        let next = offset ?? 0;
        let text = "";
        const input = offset === undefined ? { vmId } : { vmId, offset };
        for await (const portion of test.provider.readConsole(input, test.operation())) {
          mustEqual(portion.offset, next, "the offset of a portion, after the bytes of those before");
          next += Buffer.byteLength(portion.text);
          text += portion.text;
        }
        return text;
      };
      const whole = Buffer.from(await read());
      for (const wanted of [1, Math.floor(whole.length / 2), whole.length - 1, whole.length]) {
        // Not in the middle of a character.
        let offset = wanted;
        while (((whole[offset] ?? 0) & 0xc0) === 0x80) offset -= 1;
        mustEqual(await read(offset), whole.subarray(offset).toString(), `the console from ${offset} on`);
      }
      mustEqual(await read(whole.length + 10), "", "the console from beyond its end on");
    },
  },
  {
    id: "compute.console.cancel",
    title: "following a console ends at once when it is cancelled",
    clause: 'OperationContext.signal: "Aborts when the caller cancels"',
    level: "core",
    async run(test) {
      const { vmId } = await run(test, "web");
      const controller = new AbortController();
      const operation = test.operation({ signal: controller.signal });
      const rest = (async () => {
        for await (const _ of test.provider.readConsole({ vmId, follow: true }, operation)) {
          // Only its end counts.
        }
      })().catch(() => undefined);
      controller.abort();
      await rest;
      mustEqual((await test.provider.getVm({ vmId }, test.operation())).state, "running", "the VM's state after that");
    },
  },
  {
    id: "compute.console.absent",
    title: "a VM that is not there has no console, and one that never ran has written nothing",
    clause: 'Operation readConsole: errors ["NOT_FOUND"]',
    level: "core",
    async run(test) {
      const readAll = async (vmId: string): Promise<string> => {
        let text = "";
        for await (const portion of test.provider.readConsole({ vmId, follow: true }, test.operation())) {
          text += portion.text;
        }
        return text;
      };
      await mustReject(readAll("no-such"), "NOT_FOUND", "reading the console of what is not there");
      mustEqual(await readAll((await define(test, "web")).vmId), "", "the console of a VM that never ran");
    },
  },
  {
    id: "compute.console.write",
    title: "text can be typed into a VM that runs, and not into one that is off",
    clause: 'Operation writeConsole: errors ["NOT_FOUND", "FAILED_PRECONDITION"]',
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      const type = (): Promise<void> => test.provider.writeConsole({ vmId, text: "\n" }, test.operation());
      await mustReject(type(), "FAILED_PRECONDITION", "typing into a VM that is off");
      await test.provider.startVm({ vmId, generation: 1 }, test.operation());
      await type();
    },
  },
];
