import type { Command } from "commander";
import { usageError } from "../failure/failure.ts";
import { type AddCommands, textArgument } from "./command-context.ts";

/** `vdc completion bash`. */
export const addCompletionCommand: AddCommands = (parent, bind) => {
  parent
    .command("completion")
    .description("a script that completes commands and options")
    .argument("<shell>", "bash")
    .addHelpText("after", "\nFor this shell alone:\n  source <(vdc completion bash)\n")
    .action(
      bind(async ({ terminal }, _options, args) => {
        const shell = textArgument(args, 0);
        if (shell !== "bash") throw usageError(`'${shell}': only 'bash' is there`);
        const script = bashCompletion(parent);
        terminal.result({ script }, () => script);
      }),
    );
};

/** What can follow each command, as a bash script. Files complete where nothing else does. */
export function bashCompletion(program: Command): string {
  const cases: string[] = [];
  const common = program.options.map(({ long }) => long ?? "").filter(Boolean);
  const visit = (command: Command, path: readonly string[]): void => {
    const own = command === program ? [] : command.options.map(({ long }) => long ?? "").filter(Boolean);
    const names = command.commands.map((each) => each.name());
    cases.push(`    "${path.join(" ")}") words="${[...names, ...own, ...common, "--help"].join(" ")}";;`);
    for (const each of command.commands) visit(each, [...path, each.name()]);
  };
  visit(program, [program.name()]);
  return `_vdc() {
  local path="vdc" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) case " $(_vdc_commands "$path") " in *" $word "*) path="$path $word";; esac;; esac
  done
  words="$(_vdc_words "$path")"
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
_vdc_words() {
  local words=""
  case "$1" in
${cases.join("\n")}
  esac
  echo "$words"
}
_vdc_commands() { local word; for word in $(_vdc_words "$1"); do case "$word" in -*) ;; *) echo -n "$word ";; esac; done; }
complete -o default -F _vdc vdc`;
}
