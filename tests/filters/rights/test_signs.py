"""The table of signs: names that were seen, names of the same shape, and ordinary names that mean nothing."""

from filters.rights.signs import signs, signs_of, sources

SEEN = [(sign.name, name, source) for sign in signs() for name, source in sign.seen]


def names_of(name):
    """The signs in one category."""
    return {found.name for found, _ in signs_of([name], credited=True)}


def test_every_name_that_was_seen_is_its_sign_and_has_a_source():
    assert [row for row in SEEN if row[0] not in names_of(row[1]) or row[2] not in sources()] == []


SAME_SHAPE = (
    # Shapes of upkeep that stand in no public file in these words.
    ("Files awaiting permission", "doubtful_permission"),
    ("VRTS ticket pending since 2 May 2026", "doubtful_permission"),
    ("Permission received as of 1 November 2026", "doubtful_permission"),
    ("Images with unclear copyright", "doubtful_license"),
    ("Contested license", "doubtful_license"),
    ("Videos lacking a source", "lacking_source"),
    ("Derivative works without a source as of 1 May 2026", "lacking_source"),
    ("Photographs missing evidence of permission", "lacking_permission"),
    ("Media without licence", "lacking_license"),
    ("Files with unknown copyright status", "lacking_license"),
    ("Files with no machine-readable license", "lacking_license"),
    ("Candidates for speedy deletion", "deletion_tagged"),
    ("Possible copyvios", "deletion_tagged"),
    ("Possibly unfree Flickr images reviewed by FlickreviewR", "non_free"),
    ("Vimeo review needed", "review_needed"),
    ("Mixtape review failed", "review_needed"),
    ("Panoramio images needing human review", "review_needed"),
    ("Temporarily undeleted files", "undeleted"),
    ("Exact duplicates", "duplicate_tagged"),
    ("Not-PD-US-URAA", "copyrighted_in_us"),
    ("No FoP in Belgium", "restricted:no_fop"),
    ("Files with no freedom of panorama", "restricted:no_fop"),
    ("AI-upscaled images", "ai_upscaled"),
    ("Images upscaled using artificial intelligence", "ai_upscaled"),
    ("AI-colorized photographs", "ai_colorized"),
    ("Photographs colourised with AI", "ai_colorized"),
    ("Images made with Adobe Firefly", "ai_generated"),
    ("DALL\u00b7E 3 images", "ai_generated"),
    ("Photographs restored with AI", "ai_altered"),
    ("Photomontages of Lima", "composed"),
    ("Nude women in Peru", "subject:nudity"),
    ("Media with erroneous license", "doubtful_license"),
    ("Undetermined copyright status", "doubtful_license"),
    ("Derivative works of copyrighted works", "doubtful_license"),
    ("License laundering", "doubtful_license"),
    ("Flickr washing", "doubtful_license"),
    ("Files from questionable Flickr users", "doubtful_license"),
    ("Non-commercial license only", "doubtful_license"),
    ("Uploads by suspected copyright violators", "deletion_tagged"),
    ("Not freely licensed in the US", "non_free"),
    ("Media lacking a description and source", "lacking_source"),
    ("Files needing license verification", "review_needed"),
    ("Flickr images to be verified", "review_needed"),
    ("Files moved from nl.wikipedia to Commons requiring review", "review_needed"),
    ("FoP-unknown", "restricted:no_fop"),
    ("Grok-generated images", "ai_generated"),
    ("Synthetic media", "ai_generated"),
    ("PD-AI", "ai_generated"),
    ("Topaz Photo AI", "ai_altered"),
    ("Enhanced with Remini", "ai_altered"),
    ("Photoshop generative fill", "ai_altered"),
    ("Colorized with MyHeritage", "ai_colorized"),
    ("MyHeritage In Color", "ai_colorized"),
    ("Colorized photographs", "colorized"),
    ("Fotos criadas com inteligência artificial", "ai_generated"),
    ("OTRS permission refused", "doubtful_permission"),
    ("Items with FoP restrictions", "restricted:no_fop"),
    ("Redundant files", "duplicate_tagged"),
    ("Female toplessness", "subject:nudity"),
    ("Pubic hair", "subject:nudity"),
    ("2-year-old human females", "subject:minors"),
    ("Boys playing football in Peru", "subject:minors"),
    ("Portraits of children", "subject:minors"),
)


def test_a_name_of_the_same_shape_is_the_same_sign():
    assert [row for row in SAME_SHAPE if row[1] not in names_of(row[0])] == []


ORDINARY = (
    # Recorded from Commons, on files that are as free as they say.
    "Media needing category review as of 31 October 2015",
    "Pages with local coordinates and missing SDC coordinates",
    "Biodiversity Heritage Library maintenance missing collection",
    "Images from Wiki Loves Africa 2015 to check",
    "Items with OTRS permission confirmed",
    "Flickr images reviewed by FlickreviewR",
    "Artworks without Wikidata item",
    "Attribution metadata from licensed image",
    "PD-old-70-expired",
    # Written by people who know Commons.
    "Items with VRTS permission confirmed",
    "License reviewed by a human",
    "License migration redundant",
    "License migration candidates",
    "Self-published work",
    "No known copyright restrictions",
    "CC-BY-SA-4.0 missing SDC copyright license",
    "Files with no machine-readable source",
    "FoP-Germany",
    "PD-US-no notice",
    "PD-US-not renewed",
    "Images of Ai Weiwei",
    "Works created by Leonardo da Vinci",
    "Fireflies",
    "Gemini 7",
    "Children's hospitals in Peru",
    "Boys' schools in Peru",
    "Girl Scouts",
    "Statues of children",
    "Baby elephants",
    "Naked mole rats",
    "Sexual dimorphism",
    "Speedy Gonzales",
    "Duplicates of stamps",
    "Quality images needing review",
    # On ordinary uploads, and topics whose words are also those of signs.
    "Uploaded with UploadWizard",
    "Pages with maps",
    "All media supported by Wikimedia Deutschland",
    "Files with coordinates missing SDC location of creation",
    "Media needing categories as of 4 March 2021",
    "Files created by User:X",
    "Works not previously copyrighted",
    "Wrong-way driving",
    "False killer whales",
    "Doubtful Sound",
    "Missing person memorials",
    "Unknown Soldier tombs",
    "License plates of Germany",
    "Unidentified license plates",
    "Identification verification needed",
    "Topaz mines",
    "Hand-colorized postcards",
    "Colorized films",
    "Sora (bird)",
    "Gemini (constellation)",
    "Synthetic rubber",
    "Leah Remini",
    "Breast cancer",
    "Topless buses",
    "10 year old buildings",
    "Bad Flinsberg",
)


def test_ordinary_names_mean_nothing():
    assert [(name, names_of(name)) for name in ORDINARY if names_of(name)] == []


def test_a_missing_author_matters_only_where_a_credit_is_owed():
    assert signs_of(["Template Unknown (author)"], credited=False) == []
    assert [sign.name for sign, _ in signs_of(["Template Unknown (author)"], credited=True)] == [
        "lacking_author"
    ]
