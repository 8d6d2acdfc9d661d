import type { OperationContext, OperationDefinition } from "@vdc-os/core";
import { type StorageFacets, storageProvider } from "@vdc-os/core/storage/v1";
import { inCallersWords } from "./callers-words.ts";
import type { CloneServices } from "./clone-services.ts";

/** The facets of the provider underneath that are passed on as they are: they name a volume by its id alone, which is the same. */
export const passedFacets = [
  "discard",
  "qos",
  "encryption",
  "changedBlocks",
  "epochs",
  "migrate",
  "replicate",
] as const;

/** One of {@link passedFacets}. */
export type PassedFacet = (typeof passedFacets)[number];

type Method = (input: { readonly volumeId: string }, context: OperationContext) => unknown;

/** A facet that is passed on, for the volumes that are known here. */
export function passedFacet<Name extends PassedFacet>(
  { catalog, base }: CloneServices,
  name: Name,
): NonNullable<StorageFacets[Name]> {
  const operations = storageProvider.facets[name] as Readonly<Record<string, OperationDefinition>>;
  const methodOf = async (
    operation: string,
    { volumeId }: { readonly volumeId: string },
    context: OperationContext,
  ): Promise<Method> => {
    await catalog.get(volumeId, context);
    const facet = (await base.facet(name, context)) as unknown as Readonly<Record<string, Method>>;
    return (facet[operation] as Method).bind(facet);
  };
  const methods = Object.entries(operations).map(([operation, { kind }]): [string, Method] => {
    if (kind === "unary") {
      return [
        operation,
        async (input, context) => {
          try {
            return await (await methodOf(operation, input, context))(input, context);
          } catch (error) {
            throw inCallersWords(error);
          }
        },
      ];
    }
    return [
      operation,
      async function* (input, context) {
        try {
          yield* (await methodOf(operation, input, context))(input, context) as AsyncIterable<unknown>;
        } catch (error) {
          throw inCallersWords(error);
        }
      },
    ];
  });
  return Object.fromEntries(methods) as unknown as NonNullable<StorageFacets[Name]>;
}
