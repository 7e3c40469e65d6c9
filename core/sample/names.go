package sample

var (
	firstNames = []string{
		"Ada", "Alan", "Amina", "Astrid", "Barbara", "Bjarne", "Chen", "Clara", "Dorothy", "Edsger", "Elif", "Emmy",
		"Fatima", "Grace", "Hedy", "Ingrid", "Ivan", "Jean", "Joan", "Kalpana", "Karl", "Katherine", "Ken", "Leslie",
		"Lin", "Mae", "Margaret", "Maryam", "Niklaus", "Olga", "Radia", "Rosa", "Sofia", "Tim", "Tu", "Wangari",
	}
	lastNames = []string{
		"Adebayo", "Andersson", "Bakker", "Bergman", "Chandra", "Costa", "Dubois", "Eriksson", "Fischer", "Garcia",
		"Hansen", "Haddad", "Ito", "Jensen", "Kim", "Kowalski", "Larsson", "Lopez", "Martin", "Meyer", "Moreau", "Nguyen",
		"Nilsson", "Novak", "Okafor", "Olsen", "Patel", "Petrov", "Rossi", "Sato", "Silva", "Smith", "Tanaka", "Virtanen",
		"Wang", "Yilmaz",
	}
	places = []string{
		"Amber", "Birch", "Cedar", "Copper", "Coral", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Indigo", "Juniper",
		"Kestrel", "Lumen", "Maple", "Meridian", "Northern", "Opal", "Polar", "Quartz", "River", "Saffron", "Tundra", "Willow",
	}
	trades = []string{
		"Analytics", "Bakery", "Bearings", "Biotech", "Cargo", "Ceramics", "Dairy", "Electric", "Forestry", "Foundry",
		"Garden", "Glass", "Instruments", "Logistics", "Marine", "Mills", "Optics", "Paper", "Press", "Robotics", "Steel",
		"Textiles", "Turbines", "Works",
	}
)
