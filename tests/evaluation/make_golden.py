"""Writes `golden_captions.json`: awkward captions with the tokens and scores that pycocoevalcap gives them.

Requirement: pycocoevalcap 1.2 and Java, in an environment of their own (they are no dependency of byorn):

    python3 -m venv coco && coco/bin/pip install pycocoevalcap==1.2 numpy
    coco/bin/python tests/evaluation/make_golden.py

The captions are invented here; run it again after changing them.
"""

import json
import random
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

CAPTIONS = """
A man riding a wave on top of a surfboard.
The dog isn't sleeping; it's barking!
They can't, won't and shouldn't've gone.
I'm sure you're what they've seen, she'd said.
I cannot see; we're gonna leave, gotta run, wanna come? gimme that, lemme see
John's dog and the dogs' bowls near James's house
James' x-ray's on the mother-in-law's desk
A well-lit, state-of-the-art kitchen with a co-op.
a T-shirt -- red - and a t-shirt --- blue ---- on the bed
"Stop," said the sign. 'Go' said the other.
He said,"hi" and ''bye'' and ``hello''
“smart quotes” and ‘single’ and «guillemets» and ‹small›
it’s a dog’s life, isn’t it? don‛t don`t don‘t
1,000 people and 3.14 pies at 10:30 a.m. on 12/25/2020
1,000,000.50 and .5 and -5 and +5 and 1,00 and 1.2.3
$5.00 each, 50% off, US$5 or £5 or €5 or ¥5, 5¢ more
1/2 cup, ½ cup, 1½ cups, ⅓ mile, 3/4, 1-1/2, 1 1/2 cups
2nd 3rd 1st 21st-century 5-year-old 5kg 4x4 4'x6' 6'2" 5'10" 5' 10''
a (small) dog [on] a {mat} (a) [1] {x}
em—dash, en–dash, bar ― and minus −5
wait... what… no. . . yes.. maybe....
end! end? end?! really??? wow!!! a!b a?b !a
hello,world dog,cat a,b 1,a a,1 a;b:c
The end.The start dog.cat dog.Cat a.b.c
Mr. Smith, Mrs. Jones, Dr. No. and St. Louis, etc.
etc. and e.g. dog, i.e. cat, vs. x, approx. y, Inc. z
U.S. flag in the U.K.'s U.S.-based D.C. office at 5 p.m.
at 5p.m. or 10:30pm. or 6ft. or 6 ft. or 12 oz.
No. 5 and no. five and No.5 and fig. 2 and in. 5 and no.
vitamin C. A man ate plan b. Then vitamin c. and so on
J. K. Rowling and J. R. R. Tolkien and A. dog
Jan. 5, Sat. on Sun. and Mon. in Calif. or Tex. or tex. now
http://www.example.com/a?b=c and www.example.com and x.org, x.net.
me@x.com @user #hashtag #1 # 1 a@b @ home a#b
rock & roll, AT&T, R&B, a&b, A&W, H&M, M&M's, Q&A, at&t
rock 'n' roll rock'n'roll 'n' 'em 'til 'cause 'twas 'tis 'bout
o'clock O'Brien D'Angelo l'eau d'art y'all ma'am ne'er c'mon
the '90s, the 1990's, the 1990s' and '45 and '80s.
a*b + c = d a+b 1+1=2 == ** * *a* C++ C# F# A+ c++.
< b > tag <b>bold</b> <br/> <html> x<y x>y <3 a<b>c
<image> a dog <|im_end|> [INST] </s> <unk>
back\\slash a/b and/or a / b // a//b \\n AC/DC n/a w/ w/o his/her
tilde ~ here ^ caret a|b || a_b _a a_ __a__ img_001.jpg
50° 5°C 72°F. ©2020 ™ ® x™ §5 •bullet → ← ★ ♥ ✓ × ÷ ± 4×4
m² H₂O CO₂ 10⁶ № ¶ † ‡
:) ;-) :( :D =) <3 ^_^ o_O (: 8) :)) a:) (^_^) -_- T_T
😀 smile 👍 a👍b ❤️ ☀️ x 1️⃣ ⭐
café naïve Zoë's façade. El Niño's jalapeño-x Ünï Straße
日本語 привет, мир. Ελλάδα ΣΑΣ 한국어 日本。 （a）！
नमस्ते जी สวัสดี مرحبا שלום
İstanbul ﬁne æsop ª º µm Å
e\u0301a cafe\u0301 soft\u00adhyphen zero\u200bwidth a\u00a0b a\u3000b a\u2009b
&amp; x &lt;b&gt; A&amp;B &quot;q&quot; &apos;s &nbsp;x &#39; done
pre- and post- -ing -a- a--b b-52 747-400 F-16s 3-d
red,well-lit room; a-b/c-d 1/2-inch 10-15% 5-6-7
dont cant wont im ive thats couldnt its
IT'S CAN'T WON'T I'LL YOU'RE THEY'VE DON'T
n't 's 're 'rex 'sx dog'sx xn't don't-know it's-a
dog' 'dog 'dog' ''dog'' dog's' '''
' " ` `` '' ... - -- ---
. , : ; ! ?
tab\there   and  two  blanks
a\u0001b a\u007fb \ufffd
a.m.. etc... U.S., U.S.? mr.) (a.) "a."
end., state-of-the-art., 7., No., 4x4.;
0 00 007 1st. 2. 3) (4) #5 $6 7% 8: 9- 10/
The sign reads "STOP" in all-caps, 24/7, 9/11-style.
A 3-year-old's 1st b-day @ Chuck-E-Cheese's!!
Two men, one in a red/white T-shirt, play Wii(tm) in a 10'x12' room.
"It's 5 o'clock somewhere," reads the bar's neon sign...
A woman (left) & a man (right) -- both in '70s outfits -- dance.
close-up of St. Mary's Rd. & 5th Ave. sign, 10 a.m., N.Y.C.
""".strip("\n").split("\n")
CAPTIONS += ["", "line\nbreak", "   ", "a dog after two empty captions"]

WHO = [
    "A man",
    "the man's dog",
    "Two well-dressed women",
    "An 8-year-old boy",
    "a dog",
    "Mr. Smith",
    "the U.S. team",
    "",
]
DOES = ["isn't riding", "is riding", "rides", "can't see", "is holding", "holds up", "looks at", "doesn't like"]
WHAT = ['a "STOP" sign', "a red/blue kite", "1,000 balloons", "a 10:30 train", "(maybe) a bike", "it", "a $5.00 pizza"]
WHERE = ["in the park.", "near St. Louis!", "on top of a hill...", "at 5 p.m.", "-- outside", "in the park", "?!", ""]


def main() -> None:
    """Tokenise and score everything, and write the file beside this script."""
    rng = random.Random(0)
    predictions = [compose(rng) for _ in range(60)]
    references = [[compose(rng) for _ in range(rng.randint(1, 4))] for _ in predictions]
    predictions[7], references[9][0] = "", "\n"
    hypotheses = tokenised([[text] for text in predictions])
    truths = tokenised(references)
    golden = {
        "captions": CAPTIONS,
        "tokens": [texts[0] for texts in tokenised([[caption] for caption in CAPTIONS]).values()],
        "predictions": predictions,
        "references": references,
        "cider": [float(score) for score in Cider().compute_score(truths, hypotheses)[1]],
        "bleu": [float(score) for score in Bleu(4).compute_score(truths, hypotheses, verbose=0)[0]],
        "rouge_l": [float(score) for score in Rouge().compute_score(truths, hypotheses)[1]],
    }
    path = Path(__file__).with_name("golden_captions.json")
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="ascii")


def compose(rng: random.Random) -> str:
    """A caption from the pieces above."""
    return " ".join(rng.choice(pieces) for pieces in (WHO, DOES, WHAT, WHERE))


def tokenised(texts: list[list[str]]) -> dict[int, list[str]]:
    """The reference tokens of each list of captions, joined by blanks."""
    return PTBTokenizer().tokenize({index: [{"caption": text} for text in item] for index, item in enumerate(texts)})


if __name__ == "__main__":
    main()
