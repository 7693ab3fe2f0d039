import { marksByKnownAnswer } from '../../router-worker/network-tasks/judge-network-task.ts';
import { type KnownAnswer, KnownAnswers } from '../../router-worker/network-tasks/known-answers.ts';
import { CHECKED_SHARE } from '../../router-worker/network-tasks/network-tasks.ts';
import { QuestionPauses } from '../../router-worker/network-tasks/question-pauses.ts';
import { type Question as AskedQuestion, newQuestion } from '../../router-worker/network-tasks/questions.ts';
import { type QuestionWeighed, type Trust, weighQuestion } from '../../router-worker/network-tasks/weigh-question.ts';
import { type Mark, marksOf } from '../../router-worker/task/marks.ts';
import type { EndedTask } from '../../router-worker/task/task.ts';
import type { Level, Prompt } from './demand.ts';
import { CLASS, TRUTH, type Written } from './played-task.ts';
import type { Participant } from './sim-tab.ts';

/** A question of the network's own. */
export interface Question {
  readonly asked: AskedQuestion;
  /** Null for a new one. */
  readonly known: KnownAnswer | null;
  readonly level: Level;
  /** Whether its answer is paid: those that qualify are not. */
  readonly isPaid: boolean;
}

/** Tokens of the chat template around a prompt, and characters of a token, about. */
const TEMPLATE_TOKENS = 20;
const CHARACTERS_PER_TOKEN = 4;

/** Published answers of a class, as `known-answers.json` has them. */
const PUBLISHED = 40;

/** In the place of a known text: what was written, and nothing else of it. */
function knownAs(question: AskedQuestion, written: Written): KnownAnswer {
  return { question, text: String(written), finish: 'stop' };
}

/** The questions of the network, with the router's own memory of answers. The class has published answers, as the shipped models have. */
export class NetworkQuestions {
  readonly pauses: QuestionPauses;
  readonly #known: KnownAnswers;
  readonly #random: () => number;
  #running = 0;

  constructor(random: () => number, now: () => number) {
    this.#random = random;
    this.pauses = new QuestionPauses(now);
    const published = Array.from({ length: PUBLISHED }, () => knownAs(newQuestion(random), TRUTH));
    this.#known = new KnownAnswers(new Map([[CLASS, published]]));
  }

  /** How many are under way. */
  get running(): number {
    return this.#running;
  }

  ask(canCheck: boolean, isPaid: boolean): Question {
    this.#running++;
    const known = this.#known.take(CLASS, canCheck, this.#random);
    const isChecked = known === null || this.#random() < CHECKED_SHARE;
    const asked = known?.question ?? newQuestion(this.#random);
    return { asked, known, level: isChecked ? 'cross' : 'none', isPaid };
  }

  /** A question is as long as the router makes it, whatever users ask. */
  static promptOf({ asked, level }: Question): Prompt {
    const answerTokens = asked.sampling.maxTokens;
    const read = TEMPLATE_TOKENS + Math.ceil(asked.prompt.length / CHARACTERS_PER_TOKEN);
    return { tokens: read + answerTokens, answerTokens, level };
  }

  /** Marks of who took part before they are weighed: by the known answer, or by the round. */
  marks(question: Question, ended: EndedTask, participants: readonly Participant[]): readonly Mark[] {
    const { known } = question;
    const [answer, ...checks] = participants.map(({ identity, written }) => ({
      tab: identity.record.tab,
      class: CLASS,
      isTrue: written === null ? null : String(written) === known?.text,
    }));
    if (known === null || answer === undefined) return marksOf(ended);
    return marksByKnownAnswer({ ...answer, isTrue: answer.isTrue === true }, checks, known.isDoubtful === true);
  }

  /** What a question came to. A new one whose answer was confirmed is remembered. */
  weigh(
    question: Question,
    marks: readonly Mark[],
    ended: EndedTask,
    answer: { readonly tab: string; readonly written: Written; readonly tookMs: number },
    trust: Trust,
  ): QuestionWeighed {
    this.#running--;
    const weighed = weighQuestion(question.known === null ? null : marks, marks, trust);
    if (weighed.isDecided) this.pauses.learnt(answer.tab, answer.tookMs);
    else this.pauses.nothingLearnt(answer.tab);
    if (question.known === null && ended.verdict.value === 'valid' && weighed.isConfirmed) {
      this.#known.learn(CLASS, { ...knownAs(question.asked, answer.written), isDoubtful: true }); // There are no guards here.
    }
    return weighed;
  }
}
