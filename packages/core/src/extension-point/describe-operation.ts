import { type DescribeInput, type Description, describeInput, description } from "./description.ts";
import { type OperationDefinition, unary } from "./operation.ts";

/** The `describe` operation that every extension point has. */
export const describeOperation: OperationDefinition<"unary", DescribeInput, Description> = unary({
  summary:
    "Tells what the implementation is and, for a scope, which facets are available, with what limits and by what evidence.",
  input: describeInput,
  output: description,
  idempotent: true,
  errors: [],
});
