import type { OperationContext, OperationDefinition } from "@vdc-os/core";
import { type StorageFacets, storageProvider } from "@vdc-os/core/storage/v1";
import type { CloneEngine } from "./clone-engine.ts";

/** The facets of the provider underneath that are passed on as they are: they name a volume by its id alone, which is the same. */
export type PassedFacet = "discard" | "qos" | "encryption" | "changedBlocks" | "epochs";

type Method = (input: { readonly volumeId: string }, context: OperationContext) => unknown;

/** A facet that is passed on, for the volumes that are known here. */
export function passedFacet<Name extends PassedFacet>(
  engine: CloneEngine,
  name: Name,
): NonNullable<StorageFacets[Name]> {
  const operations = storageProvider.facets[name] as Readonly<Record<string, OperationDefinition>>;
  const methodOf = async (
    operation: string,
    { volumeId }: { readonly volumeId: string },
    context: OperationContext,
  ): Promise<Method> => {
    await engine.catalog.get(volumeId, context);
    const facet = (await engine.base.facet(name, context)) as unknown as Readonly<Record<string, Method>>;
    return (facet[operation] as Method).bind(facet);
  };
  const methods = Object.entries(operations).map(([operation, { kind }]): [string, Method] => {
    if (kind === "unary") {
      return [operation, async (input, context) => (await methodOf(operation, input, context))(input, context)];
    }
    return [
      operation,
      async function* (input, context) {
        yield* (await methodOf(operation, input, context))(input, context) as AsyncIterable<unknown>;
      },
    ];
  });
  return Object.fromEntries(methods) as unknown as NonNullable<StorageFacets[Name]>;
}
