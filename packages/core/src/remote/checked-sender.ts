import { VdcError } from "../error/vdc-error.ts";
import type { WireOperation } from "./operation-table.ts";
import type { CallSender } from "./proxy-class.ts";

/**
 * A sender whose every result and item is held against the contract, and rejects with `INTERNAL` (`VDC_OUTPUT_INVALID`) for one that breaks it.
 * For programs that no compiler has held against it. Members that the contract does not have are left out.
 */
export function checkedSender(sender: CallSender): CallSender {
  return {
    async call(operation, point, name, input, context) {
      return check(await sender.call(operation, point, name, input, context), operation, point, name);
    },
    stream(operation, point, name, input, context) {
      const items = sender.stream(operation, point, name, input, context)[Symbol.asyncIterator]();
      // No generator: its `return` would wait for the item that a watch may never have.
      const checked: AsyncIterableIterator<unknown> = {
        [Symbol.asyncIterator]: () => checked,
        async next() {
          const item = await items.next();
          if (item.done === true) return item;
          try {
            return { done: false, value: check(item.value, operation, point, name) };
          } catch (error) {
            await items.return?.();
            throw error;
          }
        },
        async return() {
          await items.return?.();
          return { done: true, value: undefined };
        },
      };
      return checked;
    },
  };
}

function check(value: unknown, operation: WireOperation, point: string, name: string): unknown {
  const result = operation.definition.output.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => ({ path: path.map(String), message }));
  const text = issues.map(({ path, message }) => `'${["output", ...path].join(".")}': ${message}`).join("; ");
  throw new VdcError("INTERNAL", `the program's output of '${point}' operation '${operation.wireName}': ${text}`, {
    reason: "VDC_OUTPUT_INVALID",
    details: { point, provider: name, operation: operation.wireName, issues },
  });
}
