import { VdcError } from "@vdc-os/core";

/** A handle whose calls fail once a number of them was made, before or after they took effect, in turn. */
export function cutting<T extends object>(handle: T, left: { calls: number }): T {
  const fail = (): never => {
    throw new VdcError("UNAVAILABLE", "killed");
  };
  const wrap = (target: object): object =>
    new Proxy(target, {
      get(_, key) {
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          if (left.calls <= 0) fail();
          const result = (await value.apply(target, args)) as unknown;
          if (key === "facet") {
            const facet = result as { readonly available: true; readonly operations: object };
            return { ...facet, operations: wrap(facet.operations) };
          }
          left.calls--;
          if (left.calls === 0) fail();
          return result;
        };
      },
    });
  return wrap(handle) as T;
}
