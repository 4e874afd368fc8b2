import { ConfigError } from '../../runtime/errors.ts'
import type { Command } from './command.ts'

const shells = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof shells)[number]

/** Returns the command that prints completions for all commands, including itself. */
export function completionOf(all: () => Promise<readonly Command[]>): Command {
  return {
    name: 'completion',
    summary: 'print the completion script of a shell: bash, zsh or fish',
    about:
      'Prints a script that completes commands and options. To load it in every new shell:\n\n' +
      "  bash: echo 'source <(buildkite-mirror completion bash)' >> ~/.bashrc\n" +
      "  zsh:  echo 'source <(buildkite-mirror completion zsh)' >> ~/.zshrc   (after compinit)\n" +
      '  fish: buildkite-mirror completion fish > ~/.config/fish/completions/buildkite-mirror.fish',
    argument: { name: '<shell>', values: shells },
    options: {},
    async run(values, io) {
      const shell = shells.find((name) => name === values.argument)
      if (!shell) throw new ConfigError(`Choose a shell: buildkite-mirror completion ${shells.join('|')}.`)
      io.stdout.write(scripts[shell](await all()))
      return 0
    },
  }
}

const scripts: Record<Shell, (commands: readonly Command[]) => string> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
}

const options = (command: Command) => Object.entries({ ...command.options, help: { about: 'show help' } })
const flags = (command: Command) => options(command).map(([name]) => `--${name}`)

/** The words that may follow a command: its options, and the values of its argument. */
const words = (command: Command) => [...(command.argument?.values ?? []), ...flags(command)].join(' ')

function bashScript(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(' ')
  const withValue = [...new Set(commands.flatMap(optionsWithValue))].join('|')
  return `# Completion of buildkite-mirror for bash.
_buildkite_mirror() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${names} help --help --version"
  else
    case "$before" in ${withValue}) return ;; esac
    case "\${COMP_WORDS[1]}" in
${commands.map((command) => `      ${command.name}) words="${words(command)}" ;;`).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _buildkite_mirror buildkite-mirror
`
}

function optionsWithValue(command: Command): string[] {
  return Object.entries(command.options).flatMap(([name, { value }]) => (value ? [`--${name}`] : []))
}

/** In single quotes. `plain` escapes the characters that zsh's _describe and _arguments interpret. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const plain = (text: string) => text.replaceAll(/[[\]:]/g, (mark) => `\\${mark}`)

function zshScript(commands: readonly Command[]): string {
  const listed = commands.map(({ name, summary }) => `    ${quoted(`${name}:${plain(summary)}`)}`).join('\n')
  const spec = ([name, { about, value }]: readonly [string, { about: string; value?: string }]) =>
    quoted(`--${name}[${plain(about)}]${value ? `:${plain(value.replace(/[<>]/g, ''))}:` : ''}`)
  const cases = commands.map((command) => {
    const argument = command.argument
      ? ` ${quoted(`1:${command.argument.name.replace(/[<>]/g, '')}:(${command.argument.values.join(' ')})`)}`
      : ''
    return `    ${command.name}) _arguments${argument} ${options(command).map(spec).join(' ')} ;;`
  })
  return `#compdef buildkite-mirror
_buildkite_mirror() {
  local -a commands
  commands=(
${listed}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
compdef _buildkite_mirror buildkite-mirror
`
}

function fishScript(commands: readonly Command[]): string {
  const base = 'complete -c buildkite-mirror'
  const lines = commands.flatMap((command) => {
    const seen = `-n '__fish_seen_subcommand_from ${command.name}'`
    return [
      `${base} -n __fish_use_subcommand -a ${command.name} -d ${fishQuoted(command.summary)}`,
      ...(command.argument ? [`${base} ${seen} -a '${command.argument.values.join(' ')}'`] : []),
      ...Object.entries(command.options).map(
        ([name, { about, value }]) => `${base} ${seen} -l ${name}${value ? ' -x' : ''} -d ${fishQuoted(about)}`,
      ),
    ]
  })
  return `# Completion of buildkite-mirror for fish.\n${base} -f\n${lines.join('\n')}\n`
}

const fishQuoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
